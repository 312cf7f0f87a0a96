#pragma once
// The handler behind a filter: notes what reaches it and answers.

#include <string>

#include "revproxyd/pipeline/error_response.h"
#include "revproxyd/pipeline/handler.h"
#include "tests/unit/pipeline/pipeline_fixture.h"

namespace revproxyd::filters::testing {

class Echo final : public pipeline::Handler {
 public:
  struct Seen {
    bool called = false;
    std::string fields;  // of the request, "name: value\n" each
    std::string target;  // empty: the client's own bytes
  };
  /// `seen` outlives the handler.
  Echo(Seen& seen, std::uint16_t status) noexcept : seen_(seen), status_(status) {}

  Task<http::Response> handle(pipeline::Exchange& exchange) const override {
    seen_.called = true;
    for (const http::Field& field : exchange.head().fields) {
      seen_.fields.append(field.name).append(": ").append(field.value).append("\n");
    }
    seen_.target = exchange.target;
    http::ResponseHead head(exchange.arena());
    head.status = status_;
    head.fields.add("Server", "echo");
    co_return http::Response(std::move(head));
  }

 private:
  Seen& seen_;
  std::uint16_t status_;
};

}  // namespace revproxyd::filters::testing
