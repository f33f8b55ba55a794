#pragma once

#include "data/faces/canvas.h"
#include "data/faces/traits.h"

/// The layers of a drawn face, back to front; one function a feature. Private to the drawing.
namespace ito::data {

/// Colours that several features share, derived from the traits.
struct Palette {
  Color skin, skin_light, skin_shadow, skin_deep;  ///< deep: creases, nostrils, the line of closed lips
  Color hair, hair_light, hair_dark;
  Color brow, lip;
};
Palette make_palette(const FaceTraits& traits);

/// What a feature is drawn on and from. The canvas' origin is between the eyes while the person is drawn.
struct Scene {
  Canvas& canvas;
  const FaceTraits& traits;
  Palette palette;

  /// Where the light comes from, as a sign: -1 left, 1 right.
  double side() const { return traits.light < 0 ? -1 : 1; }
  /// The skull's middle: it moves against the gaze, because the eyes stay where they are aligned.
  double skull_x() const { return -3.2 * traits.turn; }
};

constexpr double kEyeX = 19.5;    ///< half the distance between the pupils
constexpr double kMouthY = 41.0;  ///< of the line between the lips, below the eyes

/// Where features are, in the head's frame; `side` is -1 for the picture's left, 1 for its right.
Point pupil(const FaceTraits& traits, double side);
Point nose_tip(const FaceTraits& traits);
Point mouth_corner(const FaceTraits& traits, double side);

/// The outline of cheeks, jaw and forehead.
Path head_outline(const Scene& scene);

void draw_backdrop(const Scene& scene);

void draw_body(const Scene& scene);  // neck, clothes, necklace
void draw_ears(const Scene& scene);
void draw_head(const Scene& scene);

void draw_back_hair(const Scene& scene);
void draw_front_hair(const Scene& scene);
void draw_facial_hair(const Scene& scene);

void draw_eyes(const Scene& scene);
void draw_brows(const Scene& scene);
void draw_nose(const Scene& scene);
void draw_mouth(const Scene& scene);
void draw_age(const Scene& scene);

void draw_hat(const Scene& scene);
void draw_glasses(const Scene& scene);
void draw_earrings(const Scene& scene);

}  // namespace ito::data
