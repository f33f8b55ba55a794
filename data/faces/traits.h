#pragma once

#include <cstdint>

#include "data/faces/color.h"

/// What a drawn face looks like, as plain values. The drawing and the attributes are functions of these
/// alone.
namespace ito::data {

enum class HairStyle {
  bald,
  receding,
  buzz,
  side_part,
  quiff,
  curly,
  afro,
  bob,
  long_straight,
  long_wavy,
  bun,
  ponytail
};
enum class HairColor { black, brown, blond, red, gray };
enum class FacialHair { none, stubble, mustache, goatee, full_beard };
enum class Glasses { none, round, square };
enum class Hat { none, cap, beanie, brimmed };
enum class Garment { crew_neck, v_neck, collar, suit_and_tie, turtleneck };
enum class Backdrop { plain, gradient, bokeh, sky, room };

/// Lengths are pixels of the 178x218 picture, in the head's frame: x to the right, y down from between the
/// eyes.
struct FaceTraits {
  uint64_t detail = 0;  ///< seeds what has no name: strands of hair, places of bokeh discs

  bool male = false;
  double age = 30;   ///< years, 18 to 85
  double skin = 0;   ///< 0 lightest to 1 darkest
  double light = 0;  ///< -1 from the picture's left, 1 from its right

  double shift_x = 0, shift_y = 0;  ///< of the point between the eyes from (88.5, 111)
  double tilt = 0;                  ///< radians, clockwise
  double scale = 1;
  double turn = 0;  ///< -1 looks to the picture's left, 1 to its right

  double cheek_width = 40;  ///< half the width below the eyes
  double jaw_width = 32;    ///< half the width at the mouth
  double chin_width = 13;   ///< half the width of the chin's flat part
  double chin_y = 66;
  double fullness = 0;  ///< 0 lean to 1 chubby
  bool double_chin = false;
  bool high_cheekbones = false;
  bool freckles = false;

  double eye_size = 1;
  double eye_opening = 1;  ///< below 0.72 the eyes are narrow
  Color iris;
  bool bags_under_eyes = false;
  double brow_thickness = 3;  ///< pixels at its thickest
  double brow_arch = 2;       ///< rise of the middle over the ends, pixels
  double brow_lift = 0;       ///< pixels upwards

  double nose_width = 8;  ///< half the width of the wings
  double nose_length = 25;
  bool pointy_nose = false;

  double smile = 0;       ///< -1 sad, 0 neutral, 1 broad
  double mouth_open = 0;  ///< 0 closed to 1
  double lip_fullness = 1;
  bool lipstick = false;
  Color lip;  ///< of the lipstick

  bool eye_makeup = false;  ///< shadow, liner and long lashes
  Color eye_shadow;
  double blush = 0;  ///< 0 to 1; above 0.5 the cheeks are rosy

  HairStyle hair_style = HairStyle::bald;
  HairColor hair_color = HairColor::black;
  Color hair;
  bool bangs = false;
  double part = 0;  ///< where the hair parts, x in pixels
  FacialHair facial_hair = FacialHair::none;
  bool sideburns = false;

  Glasses glasses = Glasses::none;
  Color glasses_frame;
  Hat hat = Hat::none;
  Color hat_color;
  bool earrings = false;
  bool necklace = false;
  Color jewel;
  Garment garment = Garment::crew_neck;
  Color cloth, accent;  ///< accent: the tie's or the trim's colour

  Backdrop backdrop = Backdrop::plain;
  Color backdrop_top, backdrop_bottom;
};

/// The person number `index` of the set `seed`: a function of the two alone (Philox, Purpose::faces).
FaceTraits face_traits(uint64_t seed, uint64_t index);

/// Whether hair falls along the cheeks.
bool has_long_hair(const FaceTraits& traits);

/// Whether the way the hair is worn can be seen: a hat leaves of short hair only the temples.
bool shows_hair_style(const FaceTraits& traits);

}  // namespace ito::data
