#include "tls/transport_bio.h"

#include <cstddef>

namespace revproxyd::tls {

namespace {

BioState& state_of(BIO* bio) noexcept { return *static_cast<BioState*>(BIO_get_data(bio)); }

// No receive call is made unless the transport is said to be readable, and only its short or empty
// reads clear that: a record that stays in the socket after OpenSSL has taken one must not be
// forgotten, because no edge will announce it again.
int bio_read(BIO* bio, char* out, int size) noexcept {
  BIO_clear_retry_flags(bio);
  BioState& state = state_of(bio);
  const MutableBytes into(out, static_cast<std::size_t>(size));
  const net::IoResult result = state.below.try_read(into);
  switch (result.status) {
    case net::IoStatus::done: return static_cast<int>(result.bytes);
    case net::IoStatus::want_read:
    case net::IoStatus::want_write: BIO_set_retry_read(bio); return -1;
    case net::IoStatus::end: state.ended = true; return 0;
    case net::IoStatus::failed: state.failure = result.error; return -1;
  }
  return -1;
}

int bio_write(BIO* bio, const char* data, int size) noexcept {
  BIO_clear_retry_flags(bio);
  BioState& state = state_of(bio);
  const iovec piece = net::piece_of(Bytes(data, static_cast<std::size_t>(size)));
  const net::IoResult result = state.below.try_write(std::span<const iovec>(&piece, 1));
  if (result.status == net::IoStatus::done) return static_cast<int>(result.bytes);
  if (result.status == net::IoStatus::failed) {
    state.failure = result.error;
  } else {
    BIO_set_retry_write(bio);
  }
  return -1;
}

long bio_control(BIO* bio, int command, long /*number*/, void* /*pointer*/) noexcept {
  switch (command) {
    case BIO_CTRL_FLUSH: return 1;  // nothing is held back here
    case BIO_CTRL_EOF: return state_of(bio).ended ? 1 : 0;
    default: return 0;
  }
}

int bio_create(BIO* bio) noexcept {
  BIO_set_init(bio, 1);
  return 1;
}

const BIO_METHOD* method() noexcept {
  static const BIO_METHOD* const kMethod = [] {
    BIO_METHOD* made =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "revproxyd transport");
    if (made == nullptr) return made;
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    BIO_meth_set_create(made, bio_create);
    return made;
  }();
  return kMethod;
}

}  // namespace

BioPtr make_transport_bio(BioState& state) noexcept {
  BioPtr bio(method() != nullptr ? BIO_new(method()) : nullptr);
  if (bio) BIO_set_data(bio.get(), &state);
  return bio;
}

}  // namespace revproxyd::tls
