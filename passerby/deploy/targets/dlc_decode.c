/* Raw outputs of a device -> boxes, in C99 without dependencies. model.h, beside it, holds the model's facts.
 *
 *     cc -O2 -o decode decode.c -lm  &&  ./decode FOLDER
 *
 * FOLDER holds one file an output, float32: logits_0_38x38.raw, offsets_0_38x38.raw, ...
 * One line a box, highest score first: label score x0 y0 x1 y1, pixels of the network's input.
 * To use it in a program, call find_boxes with the arrays that the device filled.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.h"

#define CANDIDATES 2000 /* highest scores a class that enter suppression */

typedef struct {
    float x0, y0, x1, y1, score;
    int label, row;
} Box;

/* Highest score first; equal scores in the order of the default boxes. */
static int by_score(const void *a, const void *b) {
    const Box *p = a, *q = b;
    if (p->score != q->score) return p->score < q->score ? 1 : -1;
    return (p->row > q->row) - (p->row < q->row);
}

static void swap(Box *a, Box *b) {
    Box kept = *a;
    *a = *b, *b = kept;
}

/* Intersection over union. */
static float overlap(const Box *a, const Box *b) {
    float w = fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0), h = fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0);
    if (w <= 0 || h <= 0) return 0;
    float shared = w * h;
    float all = (a->x1 - a->x0) * (a->y1 - a->y0) + (b->x1 - b->x0) * (b->y1 - b->y0) - shared;
    return all > 0 ? shared / all : 0;
}

/* A coordinate clipped at the input's border. */
static float inside(float value, float length) { return fminf(fmaxf(value, 0), length); }

/* The score of class c (0 is the first label) of one row of logits. */
static float score_of(const float *logits, int c) {
    if (!SOFTMAX) return (float)(1.0 / (1.0 + exp(-(double)logits[c])));
    float top = logits[0];
    double sum = 0;
    for (int k = 1; k <= CLASSES; k++) top = fmaxf(top, logits[k]);
    for (int k = 0; k <= CLASSES; k++) sum += exp((double)logits[k] - top);
    return (float)(exp((double)logits[c + 1] - top) / sum);
}

/* logits, offsets: an array a map, the finest first. found: room for MOST boxes. Returns how many were found, -1 where
 * there is no memory. */
int find_boxes(const float *const *logits, const float *const *offsets, Box *found) {
    Box *all = malloc(sizeof(Box) * BOXES);
    Box *kept = malloc(sizeof(Box) * (size_t)CANDIDATES * CLASSES);
    int total = 0;
    if (!all || !kept) {
        free(all);
        free(kept);
        return -1;
    }
    for (int label = 0; label < CLASSES; label++) {
        int count = 0, row = 0;
        for (int m = 0; m < MAPS; m++)
            for (int k = 0; k < ROWS[m] * COLUMNS[m] * SIZES[m]; k++, row++) {
                float score = score_of(logits[m] + (size_t)k * WIDTH_OF_LOGITS, label);
                if (!(score >= THRESHOLD)) continue;
                const float *o = offsets[m] + (size_t)k * 4, *size = SIZE_OF[m][k % SIZES[m]];
                int cell = k / SIZES[m];
                float cx = (cell % COLUMNS[m] + 0.5f) / COLUMNS[m] * INPUT_WIDTH + o[0] * CENTRE_VARIANCE * size[0];
                float cy = (cell / COLUMNS[m] + 0.5f) / ROWS[m] * INPUT_HEIGHT + o[1] * CENTRE_VARIANCE * size[1];
                float w = size[0] * expf(o[2] * SIZE_VARIANCE) / 2, h = size[1] * expf(o[3] * SIZE_VARIANCE) / 2;
                all[count++] = (Box){cx - w, cy - h, cx + w, cy + h, score, label, row};
            }
        qsort(all, (size_t)count, sizeof(Box), by_score);
        if (count > CANDIDATES) count = CANDIDATES;
        for (int best = 0; best < count; best++) {
            for (int i = best + 1; i < count; i++) /* the highest that is left; the first of equal ones */
                if (by_score(&all[i], &all[best]) < 0) swap(&all[i], &all[best]);
            if (!(all[best].score >= THRESHOLD)) break;
            for (int i = best + 1; i < count; i++) {
                float shared = overlap(&all[best], &all[i]);
                if (shared > IOU) all[i].score = SOFT ? all[i].score * (1 - shared) : -1;
            }
            kept[total++] = all[best];
        }
    }
    qsort(kept, (size_t)total, sizeof(Box), by_score);
    if (total > MOST) total = MOST;
    for (int k = 0; k < total; k++) {
        Box b = kept[k];
        b.x0 = inside(b.x0, INPUT_WIDTH), b.x1 = inside(b.x1, INPUT_WIDTH);
        b.y0 = inside(b.y0, INPUT_HEIGHT), b.y1 = inside(b.y1, INPUT_HEIGHT);
        found[k] = b;
    }
    free(all);
    free(kept);
    return total;
}

/* The numbers of one output file; ends the program where it is not as long as it must be. */
static float *read_output(const char *folder, const char *kind, int map, size_t count) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s_%d_%dx%d.raw", folder, kind, map, ROWS[map], COLUMNS[map]);
    float *values = malloc(sizeof(float) * (count + 1));
    FILE *file = fopen(path, "rb");
    size_t got = file && values ? fread(values, sizeof(float), count + 1, file) : 0;
    if (file) fclose(file);
    if (got != count) {
        fprintf(stderr, "%s: %s, want %zu float32 numbers\n", path, file ? "has another length" : "no such file", count);
        exit(1);
    }
    return values;
}

int main(int argc, char **argv) {
    float *logits[MAPS], *offsets[MAPS];
    static Box found[MOST];
    if (argc != 2) {
        fprintf(stderr, "usage: decode FOLDER\n");
        return 2;
    }
    for (int m = 0; m < MAPS; m++) {
        size_t count = (size_t)ROWS[m] * COLUMNS[m] * SIZES[m];
        logits[m] = read_output(argv[1], "logits", m, count * WIDTH_OF_LOGITS);
        offsets[m] = read_output(argv[1], "offsets", m, count * 4);
    }
    int total = find_boxes((const float *const *)logits, (const float *const *)offsets, found);
    if (total < 0) {
        fprintf(stderr, "no memory\n");
        return 1;
    }
    for (int k = 0; k < total; k++)
        printf("%s %.4f %.2f %.2f %.2f %.2f\n", LABELS[found[k].label], found[k].score, found[k].x0, found[k].y0,
               found[k].x1, found[k].y1);
    for (int m = 0; m < MAPS; m++) {
        free(logits[m]);
        free(offsets[m]);
    }
    return 0;
}
