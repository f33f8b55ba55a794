#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/error.h"

/// Requests of HTTP/1.1 (RFC 9112), as far as ./studio answers any: GET, without a body.
namespace ito::apps {

/// What is wrong with a request: the status of its answer, and one sentence.
class Refusal : public Error {
 public:
  Refusal(int status, const std::string& sentence, const char* file = __builtin_FILE(),
          int line = __builtin_LINE())
      : Error(sentence, cat(file, ":", line)), status_(status) {}
  int status() const { return status_; }

 private:
  int status_;
};

struct HttpRequest {
  std::string path, query;  // of its target, as they came: %20 is not a blank yet
  std::vector<std::pair<std::string, std::string>> fields;  // of its head; the names in lower case
  bool keeps_open = true;                                   // the connection waits for another request
  bool takes_chunks = true;                                 // HTTP/1.1: an answer's length may be unknown

  /// The field of a name in lower case, or null.
  const std::string* field(std::string_view name) const;
};

inline constexpr size_t kMostHeadBytes = 8192, kMostTargetBytes = 4096, kMostFields = 64;

/// How many of these bytes are the first request's head, up to and with its empty line; 0 where it is not complete.
/// Refusal: it will be longer than kMostHeadBytes.
size_t head_bytes(std::string_view bytes);

/// A complete head. Refusal: it is none; another method than GET; a body; a target that is too long or is no path; not
/// exactly one Host; too many fields.
HttpRequest parse_head(std::string_view head);

/// Refusal (403): another page's request, or one that came here by a name that is not this machine's. A page whose own
/// name is made to lead to this machine (DNS rebinding) would have the browser hand it the answers; such a name is
/// in Host. `host`: another name than localhost by which this program was asked to be known. `opens_page`: a link of
/// another page may lead here.
void check_origin(const HttpRequest& request, const std::string& host, bool opens_page);

}  // namespace ito::apps
