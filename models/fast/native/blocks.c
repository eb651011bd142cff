/* Runs a path of the supernet as a list of steps over channels-last maps of float32.

   A map has a multiple of LANES channels, the surplus being zero. With a batch, those of all images follow each other
   from `offset * images` of the arena on. Weights lie in `params`; -1 says "none". Each step takes an image row by row:
   what it reads is activated into a buffer that stays in the first cache, so that neither a ReLU, nor a normalisation,
   nor the output of a depthwise convolution is ever a map of its own. models/native/steps.py writes the steps.

   NaN has to stay NaN: comparisons are written for it, and -ffast-math is not for this file. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef LANES
#define LANES 16
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef vec anywhere __attribute__((aligned(4), may_alias));
typedef int64_t i64;
#define INLINE static inline __attribute__((always_inline))

enum { STEM, BLOCK, POINTWISE, MAX_POOL, AVG_POOL, SUM, MEAN };

typedef struct {
    i64 kind;
    i64 in, sources, height, width, channels; /* `sources` maps of this size follow each other from `in` on */
    i64 affine;                               /* scale and shift in params, for what is read */
    i64 kernel, stride, dilation, shift;      /* shift: the row and column where stride 2 starts */
    i64 out, out_height, out_width, out_channels, first, columns; /* the channels written: `columns` from `first` on */
    i64 add, add_affine;                      /* a map of the output's size that is added; may be the output itself */
    i64 depthwise, pointwise, bias;           /* (kernel^2, channels), (depth, columns), (out_channels) */
    i64 norm;                                 /* take statistics of the output: see struct Norm */
} Step;

typedef struct { /* in params, each part of out_channels floats; for a consumer, `scale` is an affine's offset */
    float *scale, *shift;
    const float *weight, *bias;
    float *mean, *variance;
} Norm;

/* Keeps a vector in a register, where GCC would rather load it again for every use. */
#if defined(__AVX512VL__)
#define HOLD(x) __asm__("" : "+v"(x))
#else
#define HOLD(x) (void)(x)
#endif

INLINE vec load(const float *from) { return *(const anywhere *)from; }
INLINE void store(float *to, vec x) { *(anywhere *)to = x; }
INLINE vec choose(ivec mask, vec yes, vec no) { return (vec)((mask & (ivec)yes) | (~mask & (ivec)no)); }
INLINE vec relu(vec x) {
    HOLD(x);
    return (vec)((ivec)x & ~(x < 0));
}
INLINE vec maximum(vec a, vec b) { return choose((b > a) | (b != b), b, a); } /* NaN if either is */
INLINE i64 least(i64 a, i64 b) { return a < b ? a : b; }
INLINE i64 most(i64 a, i64 b) { return a > b ? a : b; }

/* Activate `pixels` that are `from_step` and `to_step` floats apart. */
INLINE void activate_as(const int affine, const int rectify, float *to, i64 to_step, const float *from, i64 from_step,
                        i64 pixels, i64 channels, const float *scale) {
    for (i64 x = 0; x < pixels; x++)
        for (i64 c = 0; c < channels; c += LANES) {
            vec v = load(from + x * from_step + c);
            if (affine) v = v * load(scale + c) + load(scale + channels + c);
            store(to + x * to_step + c, rectify ? relu(v) : v);
        }
}

static void activate(float *to, i64 to_step, const float *from, i64 from_step, i64 pixels, i64 channels,
                     const float *scale, int rectify) {
    if (scale && rectify) activate_as(1, 1, to, to_step, from, from_step, pixels, channels, scale);
    else if (scale) activate_as(1, 0, to, to_step, from, from_step, pixels, channels, scale);
    else if (from_step == channels && to_step == channels)
        activate_as(0, 1, to, LANES, from, LANES, pixels * channels / LANES, LANES, scale);
    else activate_as(0, 1, to, to_step, from, from_step, pixels, channels, scale);
}

/* out = add + bias + a b for P pixels and V vectors of columns: sums stay in registers. */
#define DEFINE_TILE(P, V)                                                                                              \
    INLINE void tile_##P##_##V(const float *a, i64 depth, const float *b, i64 columns, const float *bias,              \
                               const float *add, float *out, i64 step) {                                               \
        vec sum[P][V] = {{{0}}};                                                                                       \
        for (i64 k = 0; k < depth; k++)                                                                                \
            for (int v = 0; v < V; v++) {                                                                              \
                vec right = load(b + k * columns + v * LANES);                                                         \
                HOLD(right);                                                                                           \
                for (int p = 0; p < P; p++) sum[p][v] += a[p * depth + k] * right;                                     \
            }                                                                                                          \
        if (bias)                                                                                                      \
            for (int v = 0; v < V; v++)                                                                                \
                for (int p = 0; p < P; p++) sum[p][v] += load(bias + v * LANES);                                       \
        if (add)                                                                                                       \
            for (int v = 0; v < V; v++)                                                                                \
                for (int p = 0; p < P; p++) sum[p][v] += load(add + p * step + v * LANES);                             \
        for (int v = 0; v < V; v++)                                                                                    \
            for (int p = 0; p < P; p++) store(out + p * step + v * LANES, sum[p][v]);                                  \
    }
DEFINE_TILE(8, 1) DEFINE_TILE(8, 2) DEFINE_TILE(4, 4) DEFINE_TILE(1, 1) DEFINE_TILE(1, 2) DEFINE_TILE(1, 4)

#define TILES(P, V)                                                                                                    \
    for (; columns - c >= V * LANES; c += V * LANES) {                                                                 \
        i64 p = 0;                                                                                                     \
        for (; p + P <= pixels; p += P)                                                                                \
            tile_##P##_##V(a + p * depth, depth, b + c, columns, bias ? bias + c : 0, add ? add + p * step + c : 0,    \
                           out + p * step + c, step);                                                                  \
        for (; p < pixels; p++)                                                                                        \
            tile_1_##V(a + p * depth, depth, b + c, columns, bias ? bias + c : 0, add ? add + p * step + c : 0,        \
                       out + p * step + c, step);                                                                      \
    }

/* Rows of a (pixels, depth) times b (depth, columns); output pixels are `step` floats apart. */
static void multiply(const float *a, i64 pixels, i64 depth, const float *b, i64 columns, const float *bias,
                     const float *add, float *out, i64 step) {
    i64 c = 0;
    TILES(4, 4)
    TILES(8, 2)
    TILES(8, 1)
}

/* A row of a depthwise convolution from those of its K input rows that lie inside the image. */
INLINE void depthwise_pixels(const int P, const int K, const int S, const int D, const float **rows,
                             const float **weights, int count, float *out, i64 channels) {
    vec sum[8] = {{0}};
    for (int r = 0; r < count; r++)
        for (int t = 0; t < K; t++) {
            vec weight = load(weights[r] + t * channels);
            for (int p = 0; p < P; p++) sum[p] += load(rows[r] + (p * S + t * D) * channels) * weight;
        }
    for (int p = 0; p < P; p++) store(out + p * channels, sum[p]);
}

INLINE void depthwise_as(const int K, const int S, const int D, const float **rows, const float **weights, int count,
                         float *out, i64 pixels, i64 channels) {
    for (i64 c = 0; c < channels; c += LANES) {
        const float *w[5], *from[5];
        for (int r = 0; r < count; r++) w[r] = weights[r] + c;
        for (i64 x = 0; x < pixels;) {
            for (int r = 0; r < count; r++) from[r] = rows[r] + x * S * channels + c;
            if (x + 8 <= pixels) {
                depthwise_pixels(8, K, S, D, from, w, count, out + x * channels + c, channels);
                x += 8;
            } else {
                depthwise_pixels(1, K, S, D, from, w, count, out + x * channels + c, channels);
                x += 1;
            }
        }
    }
}

static void depthwise(const Step *s, const float **rows, const float **weights, int count, float *out) {
#define CASE(K, S, D)                                                                                                  \
    if (s->kernel == K && s->stride == S && s->dilation == D)                                                          \
        depthwise_as(K, S, D, rows, weights, count, out, s->out_width, s->channels);
    CASE(3, 1, 1) CASE(3, 2, 1) CASE(3, 1, 2) CASE(3, 2, 2) CASE(5, 1, 1) CASE(5, 2, 1) CASE(5, 1, 2) CASE(5, 2, 2)
#undef CASE
}

/* Activation, depthwise and pointwise convolution. A ring of activated input rows, padded by zeros, feeds them. */
static void block(const Step *s, const float *in, const float *add, float *out, const float *params, float *buffer) {
    const i64 channels = s->channels, reach = s->dilation * (s->kernel / 2), slots = 2 * reach + 1;
    const i64 row_floats = (s->width + 2 * reach) * channels;
    const float *scale = s->affine < 0 ? 0 : params + s->affine;
    float *ring = buffer, *middle = buffer + slots * row_floats;
    for (i64 r = 0; r < slots; r++) {
        memset(ring + r * row_floats, 0, reach * channels * sizeof(float));
        memset(ring + (r + 1) * row_floats - reach * channels, 0, reach * channels * sizeof(float));
    }
    i64 loaded = 0;
    for (i64 y = 0; y < s->out_height; y++) {
        for (; loaded < least(s->height, y * s->stride + reach + 1); loaded++)
            activate(ring + (loaded % slots) * row_floats + reach * channels, channels,
                     in + loaded * s->width * channels, channels, s->width, channels, scale, 1);
        const float *rows[5], *weights[5];
        int count = 0;
        for (i64 k = 0; k < s->kernel; k++) {
            i64 r = y * s->stride + k * s->dilation - reach;
            if (r < 0 || r >= s->height) continue;
            rows[count] = ring + (r % slots) * row_floats;
            weights[count++] = params + s->depthwise + k * s->kernel * channels;
        }
        depthwise(s, rows, weights, count, middle);
        const i64 at = y * s->out_width * s->out_channels;
        multiply(middle, s->out_width, channels, params + s->pointwise, s->columns,
                 s->bias < 0 ? 0 : params + s->bias, add ? add + at : 0, out + at, s->out_channels);
    }
}

/* 1x1 convolution of several maps as if they were one; stride 2 sees every second pixel from `shift` on. */
static void pointwise(const Step *s, const float **in, const float *add, float *out, const float *params,
                      float *buffer) {
    const i64 channels = s->channels, depth = s->sources * channels;
    const i64 there = least(s->out_width, (s->width - s->shift + s->stride - 1) / s->stride);
    const float *scale = s->affine < 0 ? 0 : params + s->affine;
    for (i64 y = 0; y < s->out_height; y++) {
        const i64 row = y * s->stride + s->shift, seen = row < s->height ? there : 0;
        for (i64 source = 0; source < s->sources; source++)
            activate(buffer + source * channels, depth, in[source] + (row * s->width + s->shift) * channels,
                     s->stride * channels, seen, channels, scale, 1);
        memset(buffer + seen * depth, 0, (s->out_width - seen) * depth * sizeof(float)); /* outside an odd size */
        const i64 at = y * s->out_width * s->out_channels + s->first;
        multiply(buffer, s->out_width, depth, params + s->pointwise, s->columns,
                 s->bias < 0 ? 0 : params + s->bias + s->first, add ? add + at : 0, out + at, s->out_channels);
    }
}

/* 3x3 convolution of the image itself, whose channels are as they come. */
static void stem(const Step *s, const float *image, float *out, const float *params, float *buffer) {
    const i64 three = 3 * s->channels, depth = 3 * three, row = s->width * s->channels;
    for (i64 y = 0; y < s->height; y++) {
        memset(buffer, 0, s->width * depth * sizeof(float));
        for (i64 k = 0; k < 3; k++) {
            if (y + k < 1 || y + k > s->height) continue;
            const float *from = image + (y + k - 1) * row;
            for (i64 x = 0; x < s->width; x++) { /* columns x - 1 to x + 1, as far as they are inside */
                const i64 start = most(0, x - 1) * s->channels, stop = least(s->width, x + 2) * s->channels;
                const i64 at = x * depth + k * three + (x ? 0 : s->channels);
                for (i64 j = start; j < stop; j++) buffer[at + j - start] = from[j];
            }
        }
        multiply(buffer, s->width, depth, params + s->pointwise, s->columns, s->bias < 0 ? 0 : params + s->bias, 0,
                 out + y * s->width * s->out_channels, s->out_channels);
    }
}

/* 3x3 maximum or average of the pixels inside the image: along columns into a buffer, then along rows. `affine` acts
   behind the pooling; what acts before it is that of its source, `add_affine`, which a maximum cannot swap with. */
INLINE void pool_as(const int max, const Step *s, const float *in, const float *add, float *out, const float *params,
                    float *buffer) {
    const i64 channels = s->channels, row = s->width * channels;
    const float *before = s->add_affine < 0 ? 0 : params + s->add_affine;
    const float *behind = s->affine < 0 ? 0 : params + s->affine;
    const vec edge = max ? (vec){0} - INFINITY : (vec){0};
    for (i64 c = 0; c < channels; c += LANES) {
        store(buffer + c, edge);
        store(buffer + row + channels + c, edge);
    }
    for (i64 y = 0; y < s->out_height; y++) {
        const i64 top = most(0, y * s->stride - 1), bottom = least(s->height, y * s->stride + 2);
        for (i64 x = 0; x < s->width; x++)
            for (i64 c = 0; c < channels; c += LANES) {
                vec sum = edge;
                for (i64 r = top; r < bottom; r++) {
                    vec v = load(in + r * row + x * channels + c);
                    if (before) v = v * load(before + c) + load(before + channels + c);
                    sum = max ? maximum(sum, v) : sum + v;
                }
                store(buffer + (x + 1) * channels + c, sum);
            }
        for (i64 x = 0; x < s->out_width; x++) {
            const i64 left = x * s->stride, inside = least(s->width, left + 2) - most(0, left - 1);
            const float share = 1.0f / (float)((bottom - top) * inside);
            for (i64 c = 0; c < channels; c += LANES) {
                const i64 at = (y * s->out_width + x) * channels + c;
                const float *from = buffer + left * channels + c;
                vec a = load(from), b = load(from + channels), d = load(from + 2 * channels);
                vec v = max ? maximum(maximum(a, b), d) : (a + b + d) * share;
                if (behind) v = v * load(behind + c) + load(behind + channels + c);
                store(out + at, add ? v + load(add + at) : v);
            }
        }
    }
}

/* Input plus what is added, each with an affine of its own. */
static void sum(const Step *s, const float *in, const float *add, float *out, const float *params) {
    const float *one = s->affine < 0 ? 0 : params + s->affine, *two = s->add_affine < 0 ? 0 : params + s->add_affine;
    for (i64 p = 0; p < s->height * s->width; p++)
        for (i64 c = 0; c < s->channels; c += LANES) {
            const i64 at = p * s->channels + c;
            vec v = load(in + at);
            if (one) v = v * load(one + c) + load(one + s->channels + c);
            if (add) {
                vec w = load(add + at);
                if (two) w = w * load(two + c) + load(two + s->channels + c);
                v += w;
            }
            store(out + at, v);
        }
}

/* Global average of each source. */
static void mean(const Step *s, const float **in, float *features) {
    const i64 pixels = s->height * s->width;
    for (i64 source = 0; source < s->sources; source++)
        for (i64 c = 0; c < s->channels; c += LANES) {
            vec sum = {0};
            for (i64 p = 0; p < pixels; p++) sum += load(in[source] + p * s->channels + c);
            store(features + source * s->channels + c, sum / (float)pixels);
        }
}

/* Add an image to the mean and the summed squared deviations: within the image in float and about its own mean,
   across images in double (Chan, Golub and LeVeque, 1983). */
static void gather(const float *map, i64 pixels, i64 channels, i64 images_before, double *mean, double *squares) {
    for (i64 c = 0; c < channels; c += LANES) {
        vec part[4] = {{0}}, square[4] = {{0}};
        i64 p = 0;
        for (; p + 4 <= pixels; p += 4)
            for (int j = 0; j < 4; j++) part[j] += load(map + (p + j) * channels + c);
        for (; p < pixels; p++) part[0] += load(map + p * channels + c);
        const vec own = ((part[0] + part[1]) + (part[2] + part[3])) / (float)pixels;
        for (p = 0; p + 4 <= pixels; p += 4)
            for (int j = 0; j < 4; j++) {
                vec d = load(map + (p + j) * channels + c) - own;
                square[j] += d * d;
            }
        for (; p < pixels; p++) {
            vec d = load(map + p * channels + c) - own;
            square[0] += d * d;
        }
        const vec all = (square[0] + square[1]) + (square[2] + square[3]);
        for (int j = 0; j < LANES; j++) {
            const double delta = own[j] - mean[c + j], n = (double)images_before;
            mean[c + j] += delta / (n + 1);
            squares[c + j] += all[j] + delta * delta * (double)pixels * n / (n + 1);
        }
    }
}

/* Keep the statistics (the variance unbiased) and turn them into scale and shift. */
static void finish(float *params, i64 channels, i64 count, float eps, const double *mean, const double *squares) {
    float *scale = params, *shift = scale + channels, *weight = shift + channels, *bias = weight + channels;
    float *kept_mean = bias + channels, *kept_variance = kept_mean + channels;
    for (i64 c = 0; c < channels; c++) {
        scale[c] = weight[c] / sqrtf((float)(squares[c] / (double)count) + eps);
        shift[c] = bias[c] - (float)mean[c] * scale[c];
        kept_mean[c] = (float)mean[c];
        kept_variance[c] = (float)(squares[c] / (double)(count - 1));
    }
}

static void step(const Step *s, i64 i, i64 images, const float *image, float *arena, const float *params,
                 float *buffer, float *features) {
    const i64 size = s->height * s->width * s->channels;
    const float *in[4] = {0};
    for (i64 j = 0; j < s->sources; j++) in[j] = arena + (s->in + j * size) * images + i * size;
    const i64 at = i * s->out_height * s->out_width * s->out_channels;
    float *out = arena + s->out * images + at;
    const float *add = s->add < 0 ? 0 : arena + s->add * images + at;
    switch (s->kind) {
    case STEM: stem(s, image + i * size, out, params, buffer); break;
    case BLOCK: block(s, in[0], add, out, params, buffer); break;
    case POINTWISE: pointwise(s, in, add, out, params, buffer); break;
    case MAX_POOL: pool_as(1, s, in[0], add, out, params, buffer); break;
    case AVG_POOL: pool_as(0, s, in[0], add, out, params, buffer); break;
    case SUM: sum(s, in[0], add, out, params); break;
    case MEAN: mean(s, in, features + i * s->sources * s->channels); break;
    }
}

static i64 buffer_floats(const Step *steps, i64 count) {
    i64 need = 0;
    for (const Step *s = steps; s < steps + count; s++) {
        const i64 reach = s->dilation * (s->kernel / 2);
        need = most(need, (2 * reach + 1) * (s->width + 2 * reach) * s->channels + s->out_width * s->channels);
        need = most(need, s->out_width * s->channels * most(s->sources, 9));
        need = most(need, (s->width + 2) * s->channels);
    }
    return need;
}

/* Every step for one image, then for the next: the maps of one image stay in the second cache. Returns 0, or 1 where
   memory is short. */
int run_images(const Step *steps, i64 count, const float *image, i64 images, float *arena, const float *params,
               float *features) {
    float *buffer = aligned_alloc(64, (buffer_floats(steps, count) * sizeof(float) / 64 + 1) * 64);
    if (!buffer) return 1;
    for (i64 i = 0; i < images; i++)
        for (const Step *s = steps; s < steps + count; s++) {
            const i64 pixels = s->height * s->width;
            step(s, 0, 1, image + (s->kind == STEM ? i * pixels * s->channels : 0), arena, params, buffer,
                 features + (s->kind == MEAN ? i * s->sources * s->channels : 0));
        }
    free(buffer);
    return 0;
}

/* Each step for all images before the next step, which may need the statistics of all of them. */
int run_batch(const Step *steps, i64 count, const float *image, i64 images, float *arena, float *params, float eps) {
    i64 widest = 0;
    for (const Step *s = steps; s < steps + count; s++) widest = most(widest, s->out_channels);
    float *buffer = aligned_alloc(64, (buffer_floats(steps, count) * sizeof(float) / 64 + 1) * 64);
    double *mean = malloc(2 * widest * sizeof(double)), *squares = mean + widest;
    if (!buffer || !mean) {
        free(buffer);
        free(mean);
        return 1;
    }
    for (const Step *s = steps; s < steps + count; s++) {
        const i64 pixels = s->out_height * s->out_width;
        memset(mean, 0, 2 * widest * sizeof(double));
        for (i64 k = 0; k < images; k++) {
            const i64 i = (s - steps) % 2 ? images - 1 - k : k; /* what was written last is still in a cache */
            step(s, i, images, image, arena, params, buffer, 0);
            if (s->norm >= 0)
                gather(arena + s->out * images + i * pixels * s->out_channels, pixels, s->out_channels, k, mean,
                       squares);
        }
        if (s->norm >= 0) finish(params + s->norm, s->out_channels, images * pixels, eps, mean, squares);
    }
    free(buffer);
    free(mean);
    return 0;
}
