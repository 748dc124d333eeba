/* Reads float32 from standard input, writes the framing that `punctum run BUNDLE - --stream` reads.
   cc -O2 send_features.c -o send_features; on a little-endian machine: send_features DIM STRIDE_S < floats
   Through a tool that connects (nc, socat) it reaches a socket; where that asks for a token, PUNCTUM_SOCKET_TOKEN. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t crc(uint32_t c, const void *data, size_t n) {
    for (c = ~c; n--; data = (const char *)data + 1)
        for (int k = (c ^= *(const unsigned char *)data, 8); k--;) c = c >> 1 ^ (c & 1 ? 0xEDB88320u : 0);
    return ~c;
}
static void record(uint32_t kind, uint32_t rows, const void *data, uint32_t size) {
    unsigned char head[20];
    double at = NAN; /* right after the last one */
    memcpy(head, &kind, 4), memcpy(head + 4, &rows, 4), memcpy(head + 8, &at, 8), memcpy(head + 16, &size, 4);
    uint32_t sum = crc(crc(0, head, 20), data, size);
    fwrite(head, 1, 20, stdout), fwrite(&sum, 4, 1, stdout), fwrite(data, 1, size, stdout), fflush(stdout);
}
int main(int argc, char **argv) {
    if (argc < 3) return 2;
    uint32_t dim = atoi(argv[1]), kind = 1 << 16 | 1, length = 1; /* version 1, type 1 (float32) */
    double stride = atof(argv[2]), start = 0;
    unsigned char head[33];
    memcpy(head, "PNCT", 4), memcpy(head + 4, &kind, 4), memcpy(head + 8, &dim, 4), memcpy(head + 12, &length, 4);
    memcpy(head + 16, &stride, 8), memcpy(head + 24, &start, 8), head[32] = 'c';
    uint32_t sum = crc(0, head, 33);
    const char *token = getenv("PUNCTUM_SOCKET_TOKEN");
    if (token && *token) { /* before the header, and only to sockets */
        uint32_t bytes = strlen(token);
        fwrite("PNCA", 1, 4, stdout), fwrite(&bytes, 4, 1, stdout), fwrite(token, 1, bytes, stdout);
    }
    fwrite(head, 1, 33, stdout), fwrite(&sum, 4, 1, stdout);
    float *row = malloc(4 * dim);
    while (row && fread(row, 4, dim, stdin) == dim) record(1, 1, row, 4 * dim);
    record(2, 0, "", 0);
    return 0;
}
