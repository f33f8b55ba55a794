#include "apps/serving/http_request.h"

#include <arpa/inet.h>

#include <algorithm>

namespace ito::apps {

namespace {

constexpr std::string_view kLineEnd = "\r\n", kHeadEnd = "\r\n\r\n";

/// A character of a token (RFC 9110, 5.6.2), such as a field's name.
bool in_token(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return letter || (c != 0 && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), in_token);
}

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return lower;
}

std::string_view without_blanks(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

/// The part up to `end`, which is taken off `text` with it. Refusal: there is no `end`.
std::string_view take_until(std::string_view& text, std::string_view end, const char* what) {
  const size_t at = text.find(end);
  if (at == std::string_view::npos) throw Refusal(400, cat("the request has no ", what));
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at + end.size());
  return part;
}

void read_target(std::string_view target, HttpRequest& request) {
  if (target.size() > kMostTargetBytes)
    throw Refusal(414, cat("the address is longer than ", kMostTargetBytes, " bytes"));
  const bool printable = std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 127; });
  if (target.empty() || target[0] != '/' || !printable)
    throw Refusal(400, "the address must be a path that begins with / and is percent-encoded");
  const size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  request.query = target.substr(std::min(question + 1, target.size()));
}

void read_first_line(std::string_view line, HttpRequest& request) {
  const std::string_view method = take_until(line, " ", "method"), target = take_until(line, " ", "address");
  if (line != "HTTP/1.1" && line != "HTTP/1.0") {
    const bool other = line.substr(0, 5) == "HTTP/";
    throw Refusal(other ? 505 : 400, "the request must be of HTTP/1.1");
  }
  if (!is_token(method)) throw Refusal(400, "the request has no method");
  if (method != "GET") throw Refusal(405, "only GET is answered here");
  read_target(target, request);
  request.keeps_open = request.takes_chunks = line == "HTTP/1.1";
}

void read_field(std::string_view line, HttpRequest& request) {
  if (request.fields.size() == kMostFields)
    throw Refusal(431, cat("the request has more than ", kMostFields, " fields"));
  const std::string_view name = take_until(line, ":", "colon in one of its fields"),
                         value = without_blanks(line);
  const bool clean = std::none_of(value.begin(), value.end(),
                                  [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 127; });
  if (!is_token(name) || !clean) throw Refusal(400, "a field of the request is broken");
  request.fields.emplace_back(in_lower_case(name), value);
}

/// What fields say about the connection and about a body.
void use_fields(HttpRequest& request) {
  size_t hosts = 0;
  for (const auto& [name, value] : request.fields) {
    if (name == "host") ++hosts;
    if (name == "connection" && in_lower_case(value).find("close") != std::string::npos)
      request.keeps_open = false;
    if (name == "transfer-encoding" || (name == "content-length" && value != "0"))
      throw Refusal(413, "a request has no body here");
  }
  if (hosts != 1) throw Refusal(400, "the request must have one Host");
}

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

size_t head_bytes(std::string_view bytes) {
  const std::string_view seen = bytes.substr(0, kMostHeadBytes);
  const size_t end = seen.find(kHeadEnd);
  if (end != std::string_view::npos) return end + kHeadEnd.size();
  if (bytes.size() >= kMostHeadBytes)
    throw Refusal(431, cat("the request's head is longer than ", kMostHeadBytes, " bytes"));
  return 0;
}

HttpRequest parse_head(std::string_view head) {
  HttpRequest request;
  read_first_line(take_until(head, kLineEnd, "end of its first line"), request);
  while (head != kLineEnd) read_field(take_until(head, kLineEnd, "empty line at its end"), request);
  use_fields(request);
  return request;
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
