/* Runs a path of a supernet as a list of steps over channels-last maps of float32.

   A map has a multiple of LANES channels, the surplus being zero. With a batch, those of all images follow each other
   from `offset * images` of the arena on. Weights lie in `params`; -1 says "none". Each step takes an image row by row:
   what it reads is activated into a buffer that stays in the first cache, so that neither a ReLU, nor a normalisation,
   nor the output of a depthwise convolution is ever a map of its own. steps.py writes the steps. */

#include <stdlib.h>

#include "rows.h"

enum { STEM, BLOCK, POINTWISE, CONVOLUTION, SHORTCUT, MAX_POOL, AVG_POOL, SUM, MEAN };

typedef struct {
    i64 kind;
    i64 in, sources, height, width, channels; /* `sources` maps of this size follow each other from `in` on */
    i64 affine;                               /* scale and shift in params, for what is read */
    i64 kernel, stride, dilation, shift;      /* shift: the row and column where stride 2 starts */
    i64 out, out_height, out_width, out_channels, first, columns; /* the channels written: `columns` from `first` on */
    i64 add, add_affine;                      /* a map of the output's size that is added; may be the output itself */
    i64 depthwise, pointwise, bias;           /* (kernel^2, channels), (depth, columns), (out_channels) */
    i64 norm;                                 /* take statistics of the output: see finish() */
    i64 narrow;                               /* multiply in bfloat16; the stem never does */
} Step;

static const float *at(const float *params, i64 offset) { return offset < 0 ? 0 : params + offset; }

/* The rows of a map that a convolution sees at once, activated (the stem's as they come), padded by zeros: a ring. */
typedef struct {
    const Step *step;
    const float *in, *scale;
    float *rows, *behind;
    i64 narrow, reach, slots, edge, words, loaded;
} Ring;

static Ring ring_of(const Step *s, i64 narrow, const float *in, const float *params, float *buffer) {
    const i64 reach = s->dilation * (s->kernel / 2), slots = 2 * reach + 1;
    const i64 edge = reach * (s->channels >> narrow), words = s->width * (s->channels >> narrow) + 2 * edge;
    for (i64 r = 0; r < slots; r++) {
        memset(buffer + r * words, 0, edge * sizeof(float));
        memset(buffer + (r + 1) * words - edge, 0, edge * sizeof(float));
    }
    const float *scale = at(params, s->affine);
    return (Ring){s, in, scale, buffer, buffer + slots * words, narrow, reach, slots, edge, words, 0};
}

/* Of output row y, put the input rows that lie inside the image into f->a, and their weights, of `size` words for each
   row of the kernel, into f->b. */
static void see(Ring *ring, i64 y, const float *weights, i64 size, Factors *f) {
    const Step *s = ring->step;
    const i64 words = s->channels >> ring->narrow;
    for (; ring->loaded < least(s->height, y * s->stride + ring->reach + 1); ring->loaded++) {
        float *to = ring->rows + (ring->loaded % ring->slots) * ring->words + ring->edge;
        const float *from = ring->in + ring->loaded * s->width * s->channels;
        if (s->kind == STEM) memcpy(to, from, s->width * s->channels * sizeof(float));
        else activate(ring->narrow, to, words, from, s->channels, s->width, s->channels, ring->scale);
    }
    f->count = 0;
    for (i64 k = 0; k < s->kernel; k++) {
        const i64 r = y * s->stride + k * s->dilation - ring->reach;
        if (r < 0 || r >= s->height) continue;
        f->a[f->count] = ring->rows + (r % ring->slots) * ring->words;
        f->b[f->count++] = weights + k * size;
    }
}

/* Factors of a product of a row, whose pixels have `channels`, with a step's weights. */
static Factors simple(const Step *s, const float *row, i64 channels, const float *params) {
    const i64 depth = channels >> s->narrow;
    return (Factors){{row}, {params + s->pointwise}, 1, depth, depth, s->columns, s->narrow};
}

/* Activation, depthwise and pointwise convolution. */
APART static void block(const Step *s, const float *in, const float *add, float *out, const float *params,
                        float *buffer) {
    Ring ring = ring_of(s, 0, in, params, buffer);
    const Factors middle = simple(s, ring.behind, s->channels, params);
    Factors seen;
    for (i64 y = 0; y < s->out_height; y++) {
        const i64 row = y * s->out_width * s->out_channels;
        see(&ring, y, params + s->depthwise, s->kernel * s->channels, &seen);
        depthwise(s->kernel, s->stride, s->dilation, &seen, ring.behind, s->out_width, s->channels);
        if (s->narrow) shrink(ring.behind, s->out_width * s->channels);
        multiply(&middle, s->out_width, at(params, s->bias), add ? add + row : 0, out + row, s->out_channels);
    }
}

/* Activation and 3x3 convolution; the stem's reads the image itself, whose channels are as they come. */
APART static void convolution(const Step *s, const float *in, const float *add, float *out, const float *params,
                              float *buffer) {
    Ring ring = ring_of(s, s->narrow, in, params, buffer);
    const i64 words = s->channels >> s->narrow, depth = s->kernel * words;
    Factors seen = {.stride = s->stride * words, .depth = depth, .columns = s->columns, .narrow = s->narrow};
    for (i64 y = 0; y < s->out_height; y++) {
        const i64 row = y * s->out_width * s->out_channels;
        see(&ring, y, params + s->pointwise, depth * s->columns, &seen);
        multiply(&seen, s->out_width, at(params, s->bias), add ? add + row : 0, out + row, s->out_channels);
    }
}

/* 1x1 convolution of several maps as if they were one; stride 2 sees every second pixel from `shift` on. */
APART static void pointwise(const Step *s, const float **in, const float *add, float *out, const float *params,
                            float *buffer) {
    const i64 channels = s->channels, words = channels >> s->narrow, depth = s->sources * words;
    const i64 there = least(s->out_width, (s->width - s->shift + s->stride - 1) / s->stride);
    const Factors side_by_side = simple(s, buffer, s->sources * channels, params);
    for (i64 y = 0; y < s->out_height; y++) {
        const i64 row = y * s->stride + s->shift, seen = row < s->height ? there : 0;
        for (i64 source = 0; source < s->sources; source++)
            activate(s->narrow, buffer + source * words, depth, in[source] + (row * s->width + s->shift) * channels,
                     s->stride * channels, seen, channels, at(params, s->affine));
        memset(buffer + seen * depth, 0, (s->out_width - seen) * depth * sizeof(float)); /* outside an odd size */
        const i64 to = y * s->out_width * s->out_channels + s->first;
        multiply(&side_by_side, s->out_width, s->bias < 0 ? 0 : params + s->bias + s->first, add ? add + to : 0,
                 out + to, s->out_channels);
    }
}

/* 2x2 average of stride 2, without a ReLU, and 1x1 convolution. */
APART static void shortcut(const Step *s, const float *in, float *out, const float *params, float *buffer) {
    const i64 channels = s->channels, row = s->width * channels;
    const float *scale = at(params, s->affine);
    const Factors averages = simple(s, buffer, channels, params);
    for (i64 y = 0; y < s->out_height; y++) {
        for (i64 x = 0; x < s->out_width; x++)
            for (i64 c = 0; c < channels; c += LANES) {
                const float *from = in + 2 * y * row + 2 * x * channels + c;
                vec v = (load(from) + load(from + channels) + load(from + row) + load(from + row + channels)) * 0.25f;
                store(buffer + x * channels + c, scale ? affine(v, scale + c, channels) : v);
            }
        if (s->narrow) shrink(buffer, s->out_width * channels);
        multiply(&averages, s->out_width, 0, 0, out + y * s->out_width * s->out_channels, s->out_channels);
    }
}

/* Maximum or sum of `count` rows of `floats`, behind an affine if there is one. */
INLINE void pool_columns(const int max, const int count, const float *in, i64 floats, i64 channels, const float *scale,
                         float *out) {
    for (i64 i = 0, c = 0; i < floats; i += LANES, c = c + LANES < channels ? c + LANES : 0) {
        vec all = {0};
        for (int r = 0; r < count; r++) {
            vec v = load(in + r * floats + i);
            if (scale) v = affine(v, scale + c, channels);
            all = !r ? v : max ? maximum(all, v) : all + v;
        }
        store(out + i, all);
    }
}

/* Maximum, or sum times `share`, of three pixels each, `step` floats after the three before them. */
INLINE void pool_pixels(const int max, i64 pixels, const float *in, i64 step, i64 channels, float share,
                        const float *scale, const float *add, float *out) {
    for (i64 x = 0; x < pixels; x++)
        for (i64 c = 0; c < channels; c += LANES) {
            const float *from = in + x * step + c;
            vec a = load(from), b = load(from + channels), d = load(from + 2 * channels);
            vec v = max ? maximum(maximum(a, b), d) : (a + b + d) * share;
            if (scale) v = affine(v, scale + c, channels);
            store(out + x * channels + c, add ? v + load(add + x * channels + c) : v);
        }
}

/* 3x3 maximum or average of the pixels inside the image: along columns into a buffer, then along rows. `affine` acts
   behind the pooling; what acts before it is that of its source, `add_affine`, which a maximum cannot swap with. */
INLINE void pool_as(const int max, const Step *s, const float *in, const float *add, float *out, const float *params,
                    float *buffer) {
    const i64 channels = s->channels, row = s->width * channels, step = s->stride * channels;
    const float *before = at(params, s->add_affine), *behind = at(params, s->affine);
    const i64 inner = (s->width - 2) / s->stride; /* pixels behind the first whose three are inside */
    const vec edge = max ? (vec){0} - INFINITY : (vec){0};
    for (i64 c = 0; c < channels; c += LANES) {
        store(buffer + c, edge);
        store(buffer + row + channels + c, edge);
    }
    for (i64 y = 0; y < s->out_height; y++) {
        const i64 top = most(0, y * s->stride - 1), rows = least(s->height, y * s->stride + 2) - top;
        const float *from = in + top * row;
        if (rows == 3) pool_columns(max, 3, from, row, channels, before, buffer + channels);
        else if (rows == 2) pool_columns(max, 2, from, row, channels, before, buffer + channels);
        else pool_columns(max, 1, from, row, channels, before, buffer + channels);
        for (i64 x = 0; x < s->out_width;) {
            const i64 left = x * s->stride, inside = least(s->width, left + 2) - most(0, left - 1);
            const i64 alike = inside == 3 ? inner : 1, to = (y * s->out_width + x) * channels;
            pool_pixels(max, alike, buffer + left * channels, step, channels, 1.0f / (float)(rows * inside), behind,
                        add ? add + to : 0, out + to);
            x += alike;
        }
    }
}

APART static void max_pool(const Step *s, const float *in, const float *add, float *out, const float *params,
                           float *buffer) {
    pool_as(1, s, in, add, out, params, buffer);
}

APART static void avg_pool(const Step *s, const float *in, const float *add, float *out, const float *params,
                           float *buffer) {
    pool_as(0, s, in, add, out, params, buffer);
}

/* Input, or zero where there is none, plus what is added, each with an affine of its own. */
APART static void sum(const Step *s, const float *in, const float *add, float *out, const float *params) {
    const i64 channels = s->channels, floats = s->height * s->width * channels;
    const float *one = at(params, s->affine), *two = at(params, s->add_affine);
    for (i64 i = 0, c = 0; i < floats; i += LANES, c = c + LANES < channels ? c + LANES : 0) {
        vec v = in ? load(in + i) : (vec){0};
        if (one) v = affine(v, one + c, channels);
        if (add) {
            vec w = load(add + i);
            v += two ? affine(w, two + c, channels) : w;
        }
        store(out + i, v);
    }
}

/* Global average of each source, which an affine activates. */
APART static void mean(const Step *s, const float **in, float *features, const float *params) {
    const i64 pixels = s->height * s->width;
    const float *scale = at(params, s->affine);
    for (i64 source = 0; source < s->sources; source++)
        for (i64 c = 0; c < s->channels; c += LANES) {
            vec sum = {0};
            for (i64 p = 0; p < pixels; p++) {
                vec v = load(in[source] + p * s->channels + c);
                sum += scale ? relu(affine(v, scale + c, s->channels)) : v;
            }
            store(features + source * s->channels + c, sum / (float)pixels);
        }
}

/* Add an image to the mean and the summed squared deviations: within the image in float and about its own mean,
   across images in double (Chan, Golub and LeVeque, 1983). */
APART static void gather(const float *map, i64 pixels, i64 channels, i64 images_before, double *mean, double *squares) {
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

/* Of a norm, params hold scale, shift, weight, bias, mean and variance, `channels` floats each: keep the statistics
   (the variance unbiased) and turn them into scale and shift. */
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
    const i64 own = i * s->out_height * s->out_width * s->out_channels;
    float *out = arena + s->out * images + own;
    const float *add = s->add < 0 ? 0 : arena + s->add * images + own;
    switch (s->kind) {
    case STEM: convolution(s, image + i * size, 0, out, params, buffer); break;
    case BLOCK: block(s, in[0], add, out, params, buffer); break;
    case POINTWISE: pointwise(s, in, add, out, params, buffer); break;
    case CONVOLUTION: convolution(s, in[0], add, out, params, buffer); break;
    case SHORTCUT: shortcut(s, in[0], out, params, buffer); break;
    case MAX_POOL: max_pool(s, in[0], add, out, params, buffer); break;
    case AVG_POOL: avg_pool(s, in[0], add, out, params, buffer); break;
    case SUM: sum(s, in[0], add, out, params); break;
    case MEAN: mean(s, in, features + i * s->sources * s->channels, params); break;
    }
}

static i64 buffer_floats(const Step *steps, i64 count) {
    i64 need = 0;
    for (const Step *s = steps; s < steps + count; s++) {
        const i64 reach = s->dilation * (s->kernel / 2);
        need = most(need, (2 * reach + 1) * (s->width + 2 * reach) * s->channels + s->out_width * s->channels);
        need = most(need, s->out_width * s->channels * s->sources);
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
