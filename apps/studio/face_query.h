#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "apps/sampling/request.h"

/// What a browser or a program asks ./studio to draw: the part of an address behind its '?'.
namespace ito::apps {

inline constexpr int kMostFaces = 64, kMostStates = 64, kMostStepsAsked = 1000;
/// Of the network, for an image.
inline constexpr int64_t kMostEvaluations = 4000;

/// One request for pictures. What is drawn is a request of ./sample; none of its paths comes from a query.
struct FaceQuery {
  SampleRequest request = {};
  size_t first = 0, pictures = 1;  // those of the request that are wanted
  std::string client = {},
              slot = {};  // who asks, and for what part of the page: a newer query replaces an older one
  int states = 0;         // denoised states of the first picture on its way
};

/// "seed=5&count=16&sampler=heun&steps=4&attr=Smiling". Each parameter is given once (attr may be repeated) and
/// percent-encoded; + is a plus, as in dpm++2m. Those that are options of ./sample have its names and ranges, except
/// that steps go to kMostStepsAsked. `count` pictures begin with `seed`; instead of it, variations=SEED or
/// interpolate=A,B ask for pictures near a face or between two. `one`: the query is for one picture, of variations or
/// an interpolation that of `number`. Error: any other parameter (with the nearest name), one given twice or without
/// the one it belongs to, bytes that are not UTF-8, a value that is not allowed, more than kMostFaces pictures.
FaceQuery parse_face_query(std::string_view query, bool one);

/// Characters of a client's or a slot's name at most: letters, digits, - and _.
inline constexpr size_t kMostNameBytes = 32;

}  // namespace ito::apps
