#include <initializer_list>

#include "data/faces/drawn_faces.h"

namespace ito::data {

const std::array<const char*, kFaceAttributes> kFaceAttributeNames = {"5_o_Clock_Shadow",
                                                                      "Arched_Eyebrows",
                                                                      "Attractive",
                                                                      "Bags_Under_Eyes",
                                                                      "Bald",
                                                                      "Bangs",
                                                                      "Big_Lips",
                                                                      "Big_Nose",
                                                                      "Black_Hair",
                                                                      "Blond_Hair",
                                                                      "Blurry",
                                                                      "Brown_Hair",
                                                                      "Bushy_Eyebrows",
                                                                      "Chubby",
                                                                      "Double_Chin",
                                                                      "Eyeglasses",
                                                                      "Goatee",
                                                                      "Gray_Hair",
                                                                      "Heavy_Makeup",
                                                                      "High_Cheekbones",
                                                                      "Male",
                                                                      "Mouth_Slightly_Open",
                                                                      "Mustache",
                                                                      "Narrow_Eyes",
                                                                      "No_Beard",
                                                                      "Oval_Face",
                                                                      "Pale_Skin",
                                                                      "Pointy_Nose",
                                                                      "Receding_Hairline",
                                                                      "Rosy_Cheeks",
                                                                      "Sideburns",
                                                                      "Smiling",
                                                                      "Straight_Hair",
                                                                      "Wavy_Hair",
                                                                      "Wearing_Earrings",
                                                                      "Wearing_Hat",
                                                                      "Wearing_Lipstick",
                                                                      "Wearing_Necklace",
                                                                      "Wearing_Necktie",
                                                                      "Young"};

namespace {

bool is_one_of(HairStyle style, std::initializer_list<HairStyle> styles) {
  for (HairStyle s : styles)
    if (s == style) return true;
  return false;
}

/// Neither square-jawed nor round: the jaw is clearly narrower than the cheeks and the chin is long.
bool is_oval(const FaceTraits& t) {
  return t.fullness < 0.4 && t.jaw_width < 0.8 * t.cheek_width && t.chin_width < 12;
}

}  // namespace

std::array<int8_t, kFaceAttributes> face_attributes(const FaceTraits& t) {
  using enum HairStyle;
  const bool hair = t.hair_style != bald, style = shows_hair_style(t), bare_head = t.hat == Hat::none;
  const bool beard = t.facial_hair != FacialHair::none && t.facial_hair != FacialHair::mustache;
  const bool mustache = t.facial_hair == FacialHair::mustache || t.facial_hair == FacialHair::goatee ||
                        t.facial_hair == FacialHair::full_beard;
  const std::array<bool, kFaceAttributes> shown = {
      t.facial_hair == FacialHair::stubble,                                         // 5_o_Clock_Shadow
      t.brow_arch > 3.2,                                                            // Arched_Eyebrows
      false,                                                                        // Attractive
      t.bags_under_eyes,                                                            // Bags_Under_Eyes
      t.hair_style == bald && bare_head,                                            // Bald
      t.bangs && style,                                                             // Bangs
      t.lip_fullness > 1.15,                                                        // Big_Lips
      t.nose_width > 9.2,                                                           // Big_Nose
      hair && t.hair_color == HairColor::black,                                     // Black_Hair
      hair && t.hair_color == HairColor::blond,                                     // Blond_Hair
      false,                                                                        // Blurry
      hair && t.hair_color == HairColor::brown,                                     // Brown_Hair
      t.brow_thickness > 4.2,                                                       // Bushy_Eyebrows
      t.fullness > 0.55,                                                            // Chubby
      t.double_chin,                                                                // Double_Chin
      t.glasses != Glasses::none,                                                   // Eyeglasses
      t.facial_hair == FacialHair::goatee,                                          // Goatee
      hair && t.hair_color == HairColor::gray,                                      // Gray_Hair
      t.eye_makeup && t.lipstick,                                                   // Heavy_Makeup
      t.high_cheekbones,                                                            // High_Cheekbones
      t.male,                                                                       // Male
      t.mouth_open > 0.2,                                                           // Mouth_Slightly_Open
      mustache,                                                                     // Mustache
      t.eye_opening < 0.72,                                                         // Narrow_Eyes
      !beard,                                                                       // No_Beard
      is_oval(t),                                                                   // Oval_Face
      t.skin < 0.07,                                                                // Pale_Skin
      t.pointy_nose,                                                                // Pointy_Nose
      t.hair_style == receding && bare_head,                                        // Receding_Hairline
      t.blush > 0.5,                                                                // Rosy_Cheeks
      t.sideburns,                                                                  // Sideburns
      t.smile > 0.4,                                                                // Smiling
      style && is_one_of(t.hair_style, {side_part, bob, long_straight, ponytail}),  // Straight_Hair
      style && is_one_of(t.hair_style, {long_wavy, curly}),                         // Wavy_Hair
      t.earrings,                                                                   // Wearing_Earrings
      !bare_head,                                                                   // Wearing_Hat
      t.lipstick,                                                                   // Wearing_Lipstick
      t.necklace,                                                                   // Wearing_Necklace
      t.garment == Garment::suit_and_tie,                                           // Wearing_Necktie
      t.age < 47,                                                                   // Young
  };
  std::array<int8_t, kFaceAttributes> out;
  for (int i = 0; i < kFaceAttributes; ++i) out[i] = shown[i] ? 1 : -1;
  return out;
}

}  // namespace ito::data
