#include "apps/serving/http_request.h"

#include <arpa/inet.h>

#include <algorithm>

namespace ito::apps {

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return lower;
}

namespace {

/// The name of "localhost:8080", "127.0.0.1" or "[::1]:8080", without brackets; "" where it is none of a server.
std::string name_in(std::string_view host) {
  const bool bracketed = !host.empty() && host[0] == '[';
  const size_t end = bracketed ? host.find(']') : std::min(host.find(':'), host.size());
  if (end == std::string_view::npos) return "";
  const std::string_view port = host.substr(bracketed ? end + 1 : end);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!port.empty() && (port[0] != ':' || !std::all_of(port.begin() + 1, port.end(), digit))) return "";
  return in_lower_case(bracketed ? host.substr(1, end - 1) : host.substr(0, end));
}

bool is_address(const std::string& name) {
  in6_addr room{};
  return inet_pton(AF_INET, name.c_str(), &room) == 1 || inet_pton(AF_INET6, name.c_str(), &room) == 1;
}

}  // namespace

const std::string* HttpRequest::field(std::string_view name) const {
  for (const auto& [known, value] : fields)
    if (known == name) return &value;
  return nullptr;
}

void check_origin(const HttpRequest& request, const std::string& host, bool opens_page) {
  const std::string* const asked = request.field("host");
  const std::string name = asked ? name_in(*asked) : "";
  if (name != "localhost" && name != in_lower_case(host) && !is_address(name))
    throw Refusal(
        403, "this program answers to localhost and to addresses such as 127.0.0.1, and to no other name");
  if (const std::string* origin = request.field("origin"); origin && *origin != "http://" + *asked)
    throw Refusal(403, "a page of another origin may not ask here");
  const std::string* const site = request.field("sec-fetch-site");
  if (site && *site != "same-origin" && *site != "none" && !opens_page)
    throw Refusal(403, "a page of another origin may not ask here");
}

}  // namespace ito::apps
