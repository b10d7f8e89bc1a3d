import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * Says how far the Java port is from Python on a golden file: {@code java GoldenCheck FILE}; ends in 1 where it is further than promised.
 *
 * <p>The file is a row of arrays: a line "name type sides...", then the values, little-endian. {@code python -m tflite golden} writes it.
 */
public final class GoldenCheck {
  private record Array(String type, int[] sides, byte[] bytes) {
    double[] numbers() {
      ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
      double[] result = new double[bytes.length / (type.equals("float64") ? 8 : 4)];
      for (int i = 0; i < result.length; ++i) {
        result[i] = type.equals("float64") ? buffer.getDouble() : buffer.getFloat();
      }
      return result;
    }
  }

  private static Map<String, Array> read(Path path) throws IOException {
    byte[] content = Files.readAllBytes(path);
    Map<String, Array> arrays = new HashMap<>();
    int at = 0;
    while (at < content.length) {
      int end = at;
      while (end < content.length && content[end] != '\n') {
        ++end;
      }
      String[] words = new String(content, at, end - at, StandardCharsets.US_ASCII).split(" ");
      int[] sides = Arrays.stream(words).skip(2).mapToInt(Integer::parseInt).toArray();
      int width = words[1].equals("float64") ? 8 : words[1].equals("float32") ? 4 : 1;
      int length = Arrays.stream(sides).reduce(width, (a, b) -> a * b);
      at = end + 1;
      if (at + length > content.length) {
        throw new EOFException("the golden file is cut short in " + words[0]);
      }
      arrays.put(words[0], new Array(words[1], sides, Arrays.copyOfRange(content, at, at + length)));
      at += length;
    }
    return arrays;
  }

  /** Prints a difference; returns whether it is as small as promised. */
  private static boolean report(String what, double difference, double promised) {
    System.out.println(what + " " + difference);
    return difference <= promised;
  }

  public static void main(String[] arguments) throws IOException {
    Map<String, Array> golden = read(Path.of(arguments[0]));
    Array image = golden.get("image"), maps = golden.get("int8_maps"), expectedCrop = golden.get("crop");
    double[] quantisation = golden.get("map_quantisation").numbers(), decoder = golden.get("decoder").numbers();
    LandmarkZoo.Settings settings = new LandmarkZoo.Settings();
    settings.size = expectedCrop.sides()[0];
    settings.stride = settings.size / maps.sides()[0];
    settings.points = maps.sides()[2];
    settings.mapScale = quantisation[0];
    settings.mapZeroPoint = (int) quantisation[1];
    settings.logitScale = decoder[0];
    settings.windowRadius = (int) decoder[1];
    double[] how = golden.get("uncertainty").numbers();
    settings.uncertainty.typicalSpreadPx = golden.get("typical_spread_px").numbers();
    settings.uncertainty.typicalSigmaPx = golden.get("typical_sigma_px").numbers();
    settings.uncertainty.typicalEyesPx = how[0];
    settings.uncertainty.own = how[1];
    settings.uncertainty.face = how[2];
    settings.uncertainty.eyes = how[3];
    settings.uncertainty.seenFace = how[4];
    settings.uncertainty.threshold = how[5];
    settings.uncertainty.width = how[6];
    settings.anchors = golden.get("template").numbers();

    double[] anchors = LandmarkZoo.anchorsOf(golden.get("five").numbers());
    LandmarkZoo.Alignment alignment = LandmarkZoo.align(anchors, settings);
    double[] own = {alignment.a, alignment.b, alignment.c, alignment.d, alignment.e, alignment.f};
    double matrixDifference = largest(own, golden.get("matrix").numbers());

    int height = image.sides()[0], width = image.sides()[1];
    byte[] crop = LandmarkZoo.crop(image.bytes(), width, height, alignment, settings);
    byte[][] taken = new byte[1][];
    LandmarkZoo.Network network = // the interpreter's part is played by the golden maps
        stored -> {
          taken[0] = stored;
          return maps.bytes();
        };
    LandmarkZoo.Face face = LandmarkZoo.find(image.bytes(), width, height, anchors, network, settings);
    int cropDifference = 0, storedDifference = 0;
    for (int i = 0; i < crop.length; ++i) {
      int expected = expectedCrop.bytes()[i] & 0xff;
      cropDifference = Math.max(cropDifference, Math.abs((crop[i] & 0xff) - expected));
      storedDifference = Math.max(storedDifference, Math.abs(taken[0][i] + 128 - expected));
    }
    double[] imagePoints = golden.get("image_points").numbers(), scores = golden.get("scores").numbers();
    double[] sigmas = golden.get("sigmas").numbers(), visible = golden.get("visible").numbers();
    double pointDifference = 0, scoreDifference = 0, sigmaDifference = 0, visibleDifference = 0;
    for (int i = 0; i < scores.length; ++i) { // in crop pixels
      double off = Math.hypot(face.points[2 * i] - imagePoints[2 * i], face.points[2 * i + 1] - imagePoints[2 * i + 1]);
      pointDifference = Math.max(pointDifference, off * alignment.scale());
      scoreDifference = Math.max(scoreDifference, Math.abs(face.scores[i] - scores[i]));
      sigmaDifference = Math.max(sigmaDifference, Math.abs(face.sigmas[i] / sigmas[i] - 1));
      visibleDifference = Math.max(visibleDifference, Math.abs(face.visible[i] - visible[i]));
    }
    boolean good = report("matrix", matrixDifference, 1e-9);
    good &= report("crop", cropDifference, 0);
    good &= report("stored", storedDifference, 0);
    good &= report("points_px", pointDifference, 0.01);
    good &= report("scores", scoreDifference, 1e-4);
    good &= report("sigmas", sigmaDifference, 1e-3);
    good &= report("visible", visibleDifference, 1e-3);
    System.exit(good ? 0 : 1);
  }

  private static double largest(double[] first, double[] second) {
    double result = 0;
    for (int i = 0; i < first.length; ++i) {
      result = Math.max(result, Math.abs(first[i] - second[i]));
    }
    return result;
  }
}
