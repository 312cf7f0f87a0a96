#include "filters/field_edits.h"

#include <algorithm>

#include "revproxyd/base/ascii.h"

namespace revproxyd::filters {

bool editable(std::string_view name) noexcept {
  if (!ascii::is_token(name)) return false;
  switch (http::lookup(name)) {
    case http::FieldName::connection:
    case http::FieldName::content_length:
    case http::FieldName::expect:
    case http::FieldName::host:
    case http::FieldName::http2_settings:
    case http::FieldName::keep_alive:
    case http::FieldName::proxy_authenticate:
    case http::FieldName::proxy_authorization:
    case http::FieldName::proxy_connection:
    case http::FieldName::te:
    case http::FieldName::trailer:
    case http::FieldName::transfer_encoding:
    case http::FieldName::upgrade: return false;
    default: return true;
  }
}

bool acceptable_value(std::string_view value) noexcept {
  const auto control = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  };
  return ascii::trim(value).size() == value.size() &&
         std::none_of(value.begin(), value.end(), control);
}

void apply(const FieldEdits& edits, http::Fields& fields) {
  for (const auto& name : edits.remove) fields.remove(name);
  for (const auto& [name, value] : edits.set) fields.set(name, value);
  for (const auto& [name, value] : edits.add) fields.add(name, value);
}

}  // namespace revproxyd::filters
