#include "data/faces/drawn_faces.h"

#include <cmath>

#include "data/faces/painter.h"

namespace ito::data {

namespace {

/// Where the canvas' origin is while the person is drawn.
Point between_the_eyes(const FaceTraits& traits) { return {88.5 + traits.shift_x, 111 + traits.shift_y}; }

}  // namespace

Image draw_face(const FaceTraits& traits) {
  Canvas canvas(kFaceWidth, kFaceHeight);
  const Scene scene{canvas, traits, make_palette(traits)};
  draw_backdrop(scene);
  canvas.translate(between_the_eyes(traits));
  canvas.rotate(traits.tilt);
  canvas.scale(traits.scale);
  draw_back_hair(scene);
  draw_body(scene);
  draw_ears(scene);
  draw_head(scene);
  draw_age(scene);
  draw_facial_hair(scene);
  draw_nose(scene);
  draw_mouth(scene);
  draw_eyes(scene);
  draw_brows(scene);
  draw_front_hair(scene);
  draw_earrings(scene);
  draw_glasses(scene);
  draw_hat(scene);
  return canvas.image();
}

std::array<int, kFaceLandmarks> face_landmarks(const FaceTraits& traits) {
  const Point origin = between_the_eyes(traits);
  const double c = traits.scale * std::cos(traits.tilt), s = traits.scale * std::sin(traits.tilt);
  std::array<int, kFaceLandmarks> landmarks{};
  size_t at = 0;
  for (const Point p : {pupil(traits, -1), pupil(traits, 1), nose_tip(traits), mouth_corner(traits, -1),
                        mouth_corner(traits, 1)}) {
    landmarks[at++] = int(std::floor(origin.x + c * p.x - s * p.y));
    landmarks[at++] = int(std::floor(origin.y + s * p.x + c * p.y));
  }
  return landmarks;
}

}  // namespace ito::data
