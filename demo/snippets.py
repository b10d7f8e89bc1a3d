"""Code to copy that runs exactly one published file: Python, Kotlin for Android, Swift for iOS."""

from __future__ import annotations

import functools
from string import Template

from demo.compare import ModelFile
from demo.takeaway import file_name
from zoo.alignment import DETECTOR_TEMPLATE, LABEL_TEMPLATE
from zoo.errors import unknown
from zoo.heatmaps import LOGIT_SCALE, WINDOW_RADIUS
from zoo.runtime.inspection import TensorInfo
from zoo.runtime.interpreter import STRIDE, open_model

KOTLIN_PACKAGE = "com.google.ai.edge.litert:litert:1.4.2"
LANGUAGES = {"python": "Python", "kotlin": "Kotlin, Android", "swift": "Swift, iOS"}
SWIFT_POD = "TensorFlowLiteSwift"


def code(file: ModelFile, language: str) -> str:
    """Returns the code in one of `LANGUAGES`; a ZooError lists them."""
    if language not in LANGUAGES:
        raise unknown("language", language, LANGUAGES)
    return _code(file, language, file.changed)


@functools.lru_cache(maxsize=64)
def _code(file: ModelFile, language: str, changed: float) -> str:
    return {"python": python, "kotlin": kotlin, "swift": swift}[language](file)


def python(file: ModelFile) -> str:
    """Returns a Python program around `zoo.load`."""
    load = f'zoo.load("{file.name}", "{file.precision}")'
    return Template(_PYTHON).substitute(label=file.label, load=load)


def kotlin(file: ModelFile) -> str:
    """Returns a Kotlin class that aligns, runs and decodes with LiteRT's interpreter."""
    return Template(_KOTLIN).substitute(_facts(file), package=KOTLIN_PACKAGE)


def swift(file: ModelFile) -> str:
    """Returns a Swift class that aligns, runs and decodes with TensorFlow Lite's interpreter."""
    return Template(_SWIFT).substitute(_facts(file), pod=SWIFT_POD)


def _facts(file: ModelFile) -> dict[str, str]:
    """Returns the numbers and expressions that differ from file to file, from the file itself."""
    model = open_model(file.path)
    stored = model.input.dtype == "int8"
    templates = model.description.templates if model.description else (LABEL_TEMPLATE, DETECTOR_TEMPLATE)
    label, detector = ([f"{value:g}" for value in (model.input_size * template).ravel().round(4)] for template in templates)
    swift_value, kotlin_value = _values(model.output)
    return {
        "label": file.label,
        "file": file_name(file),
        "stem": file_name(file).removesuffix(".tflite"),
        "bytes": f"{file.path.stat().st_size:,}",
        "size": str(model.input_size),
        "grid": str(model.grid),
        "points": str(model.points),
        "stride": str(STRIDE),
        "radius": str(WINDOW_RADIUS),
        "logits": f"{LOGIT_SCALE:g}",
        "label_template": ", ".join(label),
        "detector_template": ", ".join(detector),
        "label_template_f": ", ".join(f"{value}f" for value in label),
        "detector_template_f": ", ".join(f"{value}f" for value in detector),
        "input": f"{model.input}",
        "output": f"{model.output}",
        "input_bytes": "1" if stored else "4",
        "output_bytes": "1" if stored else "4",
        "kotlin_put": f"put({_stored(model.input, 'kotlin')})" if stored else "putFloat(value.toFloat())",
        "kotlin_value": kotlin_value,
        "swift_type": "Int8" if stored else "Float32",
        "swift_store": _stored(model.input, "swift") if stored else "Float32(value)",
        "swift_value": swift_value,
    }


def _stored(tensor: TensorInfo, language: str) -> str:
    """Returns the expression for what stands in an int8 input for the pixel `value`, 0 to 255."""
    if tensor.scale == 1 / 128 and tensor.zero_point == 0:
        return {"kotlin": "(value - 128).toByte()", "swift": "Int8(value - 128)"}[language]
    real = f"(value - 128) / 128f / {tensor.scale!r}f" if language == "kotlin" else f"(Float(value) - 128) / 128 / {tensor.scale!r}"
    if language == "kotlin":
        return f"(Math.round({real}) + {tensor.zero_point}).coerceIn(-128, 127).toByte()"
    return f"Int8(min(max(Int(({real}).rounded()) + {tensor.zero_point}, -128), 127))"


def _values(tensor: TensorInfo) -> tuple[str, str]:
    """Returns the expressions (Swift, Kotlin) for the real value of output element `i`."""
    if tensor.dtype != "int8":
        return "stored[i]", "maps.getFloat(4 * (i))"
    return (
        f"(Float(stored[i]) - {tensor.zero_point}) * {tensor.scale!r}",
        f"(maps.get(i) - ({tensor.zero_point})) * {tensor.scale!r}f",
    )


_PYTHON = """\
# $label; run from the root of the repository
import zoo
from zoo.images import read_image

landmarker = $load
for face in landmarker.detect(read_image("photo.jpg")):  # finds the faces first; the largest comes first
    print(face.score, face.points[54])  # (106, 2) pixels; 54 is the tip of the nose
    print(face.sigmas[54], face.visible[54])  # within so many pixels in 68 of 100 cases; 0 to 1

# or with five points of your own: eyes, nose tip, mouth corners, left as seen
# face = landmarker(image, [(x, y), (x, y), (x, y), (x, y), (x, y)])
"""

_KOTLIN = """\
// $label, $bytes bytes. In: $input; out: $output.
// build.gradle.kts: implementation("$package"); androidResources { noCompress += "tflite" }
// src/main/assets/$file
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.exp
import kotlin.math.sqrt
import org.tensorflow.lite.Interpreter

/** $points landmarks from a file that is mapped into memory, or copied into a direct buffer. */
class Landmarks(model: ByteBuffer, threads: Int = 1) {
    private val interpreter = Interpreter(model, Interpreter.Options().setNumThreads(threads))
    private val crop = ByteBuffer.allocateDirect(SIZE * SIZE * 3 * $input_bytes).order(ByteOrder.nativeOrder())
    private val maps = ByteBuffer.allocateDirect(GRID * GRID * POINTS * $output_bytes).order(ByteOrder.nativeOrder())

    /**
     * Returns x, y, score and spread of each point, in pixels of a crop of $size x $size, from its pixels as Bitmap.getPixels gives them.
     * The mean score is the face's; how spreads are read as sigmas stands in landmark_zoo.json.
     */
    fun find(argb: IntArray): Array<FloatArray> {
        crop.rewind()
        for (pixel in argb) for (shift in intArrayOf(16, 8, 0)) {
            val value = (pixel shr shift) and 0xFF
            crop.$kotlin_put
        }
        crop.rewind()
        maps.rewind()
        interpreter.run(crop, maps)
        return Array(POINTS) { decode(it) }
    }

    private fun value(i: Int): Float = $kotlin_value

    /** The mean place and spread of the soft-max over the cells round the highest one, and how much more of it they hold than if flat. */
    private fun decode(point: Int): FloatArray {
        var best = 0
        var all = 0f
        for (cell in 0 until GRID * GRID) {
            all += exp($logits * value(cell * POINTS + point))
            if (value(cell * POINTS + point) > value(best * POINTS + point)) best = cell
        }
        var near = 0f
        var x = 0f
        var y = 0f
        var square = 0f
        var cells = 0
        for (row in maxOf(best / GRID - $radius, 0)..minOf(best / GRID + $radius, GRID - 1))
            for (column in maxOf(best % GRID - $radius, 0)..minOf(best % GRID + $radius, GRID - 1)) {
                val mass = exp($logits * value((row * GRID + column) * POINTS + point))
                val right = column - best % GRID
                val down = row - best / GRID
                near += mass
                x += mass * right
                y += mass * down
                square += mass * (right * right + down * down)
                cells += 1
            }
        x /= near
        y /= near
        val base = cells.toFloat() / (GRID * GRID)
        val spread = $stride * sqrt(maxOf(square / near - x * x - y * y, 0f) / 2)
        val score = maxOf(near / all - base, 0f) / (1 - base)
        return floatArrayOf($stride * (best % GRID + 0.5f + x), $stride * (best / GRID + 0.5f + y), score, spread)
    }

    companion object {
        const val SIZE = $size
        const val GRID = $grid
        const val POINTS = $points
        /** Where the crop wants points marked by people, and those of MediaPipe's face detector: eyes, nose tip, mouth. */
        val LABEL = floatArrayOf($label_template_f)
        val DETECTOR = floatArrayOf($detector_template_f)

        /**
         * The similarity from picture to crop as nine values for android.graphics.Matrix.setValues, from left eye, right eye,
         * nose tip and the middle between the mouth corners: x, y of each, left as seen. Draw the bitmap through it into $size x $size.
         */
        fun align(four: FloatArray, template: FloatArray = LABEL): FloatArray {
            val from = FloatArray(2) { axis -> (0..3).map { four[2 * it + axis] }.average().toFloat() }
            val to = FloatArray(2) { axis -> (0..3).map { template[2 * it + axis] }.average().toFloat() }
            var a = 0f
            var b = 0f
            var norm = 0f
            for (i in 0..3) {
                val (x, y) = floatArrayOf(four[2 * i] - from[0], four[2 * i + 1] - from[1])
                val (u, v) = floatArrayOf(template[2 * i] - to[0], template[2 * i + 1] - to[1])
                a += x * u + y * v
                b += x * v - y * u
                norm += x * x + y * y
            }
            a /= norm
            b /= norm
            return floatArrayOf(a, -b, to[0] - a * from[0] + b * from[1], b, a, to[1] - b * from[0] - a * from[1], 0f, 0f, 1f)
        }
    }
}
"""

_SWIFT = """\
// $label, $bytes bytes. In: $input; out: $output.
// Podfile: pod '$pod'; add $file to the target's resources
import Foundation
import TensorFlowLite

/// $points landmarks from the file in the app's bundle.
final class Landmarks {
    static let size = $size, grid = $grid, points = $points
    /// Where the crop wants points marked by people, and those of MediaPipe's face detector: eyes, nose tip, mouth.
    static let label: [Float] = [$label_template]
    static let detector: [Float] = [$detector_template]
    private let interpreter: Interpreter

    init(threads: Int = 1) throws {
        let path = Bundle.main.path(forResource: "$stem", ofType: "tflite")!
        var options = Interpreter.Options()
        options.threadCount = threads
        options.isXNNPackEnabled = true
        interpreter = try Interpreter(modelPath: path, options: options)
        try interpreter.allocateTensors()
    }

    /// Returns x, y, score and spread of each point, in pixels of a crop of $size x $size, from its RGB bytes row by row. The mean
    /// score is the face's; how spreads are read as sigmas stands in landmark_zoo.json.
    func find(rgb: [UInt8]) throws -> [(x: Float, y: Float, score: Float, spread: Float)] {
        let input = rgb.map { (byte: UInt8) -> $swift_type in
            let value = Int(byte)
            return $swift_store
        }
        try interpreter.copy(input.withUnsafeBytes { Data($$0) }, toInputAt: 0)
        try interpreter.invoke()
        let stored = try interpreter.output(at: 0).data.withUnsafeBytes { Array($$0.bindMemory(to: $swift_type.self)) }
        return (0..<Self.points).map { decode(stored, $$0) }
    }

    /// The mean place and spread of the soft-max over the cells round the highest one, and how much more of it they hold than if flat.
    private func decode(_ stored: [$swift_type], _ point: Int) -> (x: Float, y: Float, score: Float, spread: Float) {
        let grid = Self.grid
        func mass(_ cell: Int) -> Float {
            let i = cell * Self.points + point
            let value: Float = $swift_value
            return exp($logits * value)
        }
        var best = 0, all: Float = 0
        for cell in 0..<grid * grid {
            all += mass(cell)
            if mass(cell) > mass(best) { best = cell }
        }
        var near: Float = 0, x: Float = 0, y: Float = 0, square: Float = 0, cells: Float = 0
        for row in max(best / grid - $radius, 0)...min(best / grid + $radius, grid - 1) {
            for column in max(best % grid - $radius, 0)...min(best % grid + $radius, grid - 1) {
                let m = mass(row * grid + column)
                let right = Float(column - best % grid), down = Float(row - best / grid)
                near += m
                x += m * right
                y += m * down
                square += m * (right * right + down * down)
                cells += 1
            }
        }
        x /= near
        y /= near
        let base = cells / Float(grid * grid)
        let spread = $stride * (max(square / near - x * x - y * y, 0) / 2).squareRoot()
        let place = (x: $stride * (Float(best % grid) + 0.5 + x), y: $stride * (Float(best / grid) + 0.5 + y))
        return (place.x, place.y, max(near / all - base, 0) / (1 - base), spread)
    }

    /// The similarity from picture to crop, (x, y) -> (a x - b y + tx, b x + a y + ty), from left eye, right eye, nose tip and the
    /// middle between the mouth corners: x, y of each, left as seen. For CGAffineTransform(a: a, b: b, c: -b, d: a, tx: tx, ty: ty).
    static func align(_ four: [Float], _ template: [Float] = label) -> (a: Float, b: Float, tx: Float, ty: Float) {
        func mean(_ values: [Float], _ axis: Int) -> Float { (0..<4).map { values[2 * $$0 + axis] }.reduce(0, +) / 4 }
        let (mx, my, mu, mv) = (mean(four, 0), mean(four, 1), mean(template, 0), mean(template, 1))
        var a: Float = 0, b: Float = 0, norm: Float = 0
        for i in 0..<4 {
            let (x, y) = (four[2 * i] - mx, four[2 * i + 1] - my)
            let (u, v) = (template[2 * i] - mu, template[2 * i + 1] - mv)
            a += x * u + y * v
            b += x * v - y * u
            norm += x * x + y * y
        }
        a /= norm
        b /= norm
        return (a, b, mu - a * mx + b * my, mv - b * mx - a * my)
    }
}
"""
