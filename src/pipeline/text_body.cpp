#include "revproxyd/pipeline/text_body.h"

namespace revproxyd::pipeline {

Task<Result<http::Piece>> TextBody::read() { co_return http::Piece(text_, true); }

}  // namespace revproxyd::pipeline
