// Says how far the C++ port is from Python on a golden file: `golden_check FILE`; ends in 1 where it is further than promised.
//
// The file is a row of arrays: a line "name type sides...", then the values, little-endian. `python -m tflite golden` writes it.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include "landmark_zoo.h"

namespace {

struct Array {
  std::string type;
  std::vector<size_t> sides;
  std::vector<char> bytes;

  size_t count() const {
    size_t product = 1;
    for (size_t side : sides) product *= side;
    return product;
  }
  template <typename T>
  std::vector<T> values() const {
    std::vector<T> result(count());
    std::memcpy(result.data(), bytes.data(), bytes.size());
    return result;
  }
};

std::map<std::string, Array> read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::map<std::string, Array> arrays;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name;
    Array array;
    words >> name >> array.type;
    for (size_t side; words >> side;) array.sides.push_back(side);
    const size_t width = array.type == "float64" ? 8 : array.type == "float32" ? 4 : 1;
    array.bytes.resize(array.count() * width);
    if (!file.read(array.bytes.data(), array.bytes.size())) throw std::runtime_error("the golden file is cut short in " + name);
    arrays[name] = array;
  }
  return arrays;
}

// Prints a difference; returns whether it is as small as promised.
bool report(const char* what, double difference, double promised) {
  std::printf("%s %.9g\n", what, difference);
  return difference <= promised;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 2) throw std::runtime_error("one golden file is expected");
  auto golden = read(arguments[1]);
  auto numbers = [&](const char* name) { return golden.at(name).values<double>(); };
  landmark_zoo::Settings settings;
  settings.size = static_cast<int>(golden.at("crop").sides[0]);
  settings.stride = settings.size / static_cast<int>(golden.at("int8_maps").sides[0]);
  settings.points = static_cast<int>(golden.at("int8_maps").sides[2]);
  const auto quantisation = numbers("map_quantisation"), decoder = numbers("decoder"), anchors = numbers("template");
  settings.map_scale = quantisation[0], settings.map_zero_point = static_cast<int>(quantisation[1]);
  settings.logit_scale = decoder[0], settings.window_radius = static_cast<int>(decoder[1]);
  const auto how = numbers("uncertainty");
  settings.uncertainty = {numbers("typical_spread_px"), numbers("typical_sigma_px"), how[0], how[1], how[2], how[3], how[4], how[5], how[6]};
  for (int i = 0; i < 4; ++i) settings.anchors[i] = {anchors[2 * i], anchors[2 * i + 1]};

  const auto five = numbers("five"), matrix = numbers("matrix"), image_points = numbers("image_points");
  std::array<landmark_zoo::Point, 5> marks;
  for (int i = 0; i < 5; ++i) marks[i] = {five[2 * i], five[2 * i + 1]};
  const landmark_zoo::Picture picture{static_cast<int>(golden["image"].sides[1]), static_cast<int>(golden["image"].sides[0]),
                                      golden["image"].values<uint8_t>()};
  const auto alignment = landmark_zoo::align(landmark_zoo::anchors_of(marks), settings);
  const double own[6] = {alignment.a, alignment.b, alignment.c, alignment.d, alignment.e, alignment.f};
  double matrix_difference = 0, point_difference = 0, score_difference = 0;
  for (int i = 0; i < 6; ++i) matrix_difference = std::max(matrix_difference, std::abs(own[i] - matrix[i]));

  const auto crop = landmark_zoo::crop(picture, alignment, settings), expected_crop = golden["crop"].values<uint8_t>();
  int crop_difference = 0;
  for (size_t i = 0; i < crop.size(); ++i) crop_difference = std::max(crop_difference, std::abs(crop[i] - expected_crop[i]));
  std::vector<int8_t> taken;
  const auto maps = golden["int8_maps"].values<int8_t>();
  const auto face = landmark_zoo::find(  // the interpreter's part is played by the golden maps
      picture, landmark_zoo::anchors_of(marks), [&](const std::vector<int8_t>& stored) { return taken = stored, maps; }, settings);
  int stored_difference = 0;
  for (size_t i = 0; i < taken.size(); ++i) stored_difference = std::max(stored_difference, std::abs(taken[i] + 128 - expected_crop[i]));
  const auto scores = golden["scores"].values<float>();
  const auto sigmas = numbers("sigmas"), visible = numbers("visible");
  double sigma_difference = 0, visible_difference = 0;
  for (size_t i = 0; i < face.points.size(); ++i) {  // in crop pixels
    const double off = std::hypot(face.points[i].x - image_points[2 * i], face.points[i].y - image_points[2 * i + 1]);
    point_difference = std::max(point_difference, off * alignment.scale());
    score_difference = std::max(score_difference, double(std::abs(face.scores[i] - scores[i])));
    sigma_difference = std::max(sigma_difference, std::abs(face.sigmas[i] / sigmas[i] - 1));
    visible_difference = std::max(visible_difference, std::abs(face.visible[i] - visible[i]));
  }
  bool good = report("matrix", matrix_difference, 1e-9);
  good &= report("crop", crop_difference, 0);
  good &= report("stored", stored_difference, 0);
  good &= report("points_px", point_difference, 0.01);
  good &= report("scores", score_difference, 1e-4);
  good &= report("sigmas", sigma_difference, 1e-3);
  good &= report("visible", visible_difference, 1e-3);
  return good ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 2;
}
