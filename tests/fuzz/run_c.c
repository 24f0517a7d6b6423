/* libFuzzer's way into run.c: each input is a whole run, from its arguments to its last token.

   An input holds the number of arguments (a byte), then those that follow "run model.gguf", each
   ended by a 0, then standard input, and from the first "GGUF" on the model's file. Where run.c
   meets the system, the names below lead here: the file lies in memory, leaving is a jump, memory
   is short and given back after the run, and whoever reads the output is gone after a few tokens.
   It asks for no result: the sanitizers stop at a wrong step, libFuzzer at a run that never ends.
   fuzz.py compiles it. */
#define _GNU_SOURCE // for memmem
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MEMORY = 1 << 20, BLOCKS = 4096, PATIENCE = 6, LONGEST_TEXT = 150, MOST_ARGUMENTS = 9 };
typedef struct {
    const uint8_t *at, *end;
} Rest; // what is still to be read
static Rest input, model;
static FILE *nowhere, *opened;
static jmp_buf leave;
static void *blocks[BLOCKS];
static size_t memory, n_blocks, tokens;

static void *fuzz_calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > MEMORY - memory) return NULL;
    if (n_blocks == BLOCKS) return NULL;
    return memory += bytes, blocks[n_blocks++] = calloc(1, bytes);
}
static FILE *fuzz_fopen(void) {
    size_t size = model.end - model.at;
    return opened = size ? fmemopen((void *)model.at, size, "rb") : NULL;
}
static int fuzz_getchar(void) { return input.at < input.end ? *input.at++ : EOF; }
static int fuzz_fflush(void) { // follows each new token
    if (++tokens > PATIENCE) longjmp(leave, 2);
    return 0;
}

#define calloc(count, size) fuzz_calloc(count, size)
#define exit(code) longjmp(leave, code)
#define fopen(path, how) fuzz_fopen()
#define getchar() fuzz_getchar()
#define fflush(file) fuzz_fflush()
#define printf(...) fprintf(nowhere, __VA_ARGS__)
#define putchar(c) fputc(c, nowhere)
#define time(at) 1
#undef stdout
#define stdout nowhere
#undef stderr
#define stderr nowhere
#define main run_main
#include "run.c"
#undef calloc
#undef exit
#undef fopen
#undef printf

static unsigned long completed, answered, listed, refused;
static double usual[sizeof option / sizeof *option];
static void report(void) {
    printf("completed %lu, answered %lu, listed %lu, refused %lu\n", completed, answered, listed,
           refused);
}
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    memcpy(usual, option, sizeof option);
    nowhere = fopen("/dev/null", "w");
    return atexit(report);
}

static Rest cut(Rest *from, size_t most) { // takes what stands before the next 0, and the 0
    const uint8_t *zero = from->at < from->end ? memchr(from->at, 0, from->end - from->at) : NULL;
    Rest taken = {from->at, zero ? zero : from->end};
    from->at = zero ? zero + 1 : from->end;
    if ((size_t)(taken.end - taken.at) > most) taken.end = taken.at + most;
    return taken;
}
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    const uint8_t *magic = memmem(data + 1, size - 1, "GGUF", 4), *end = data + size;
    model = (Rest){magic ? magic : end, end}, input = (Rest){data + 1, model.at};
    int argc = 2 + data[0] % (MOST_ARGUMENTS + 1);
    // Exactly as long as they have to be, so that a step beyond them is seen.
    char **argv = calloc(argc + 1, sizeof *argv);
    for (int i = 0; i < argc; i++) {
        static const char *const FIRST[] = {"run", "model.gguf"};
        Rest text = i < 2 ? (Rest){0} : cut(&input, LONGEST_TEXT);
        argv[i] = i < 2 ? strdup(FIRST[i]) : strndup((const char *)text.at, text.end - text.at);
    }
    if (input.end - input.at > LONGEST_TEXT) input.end = input.at + LONGEST_TEXT;

    memcpy(option, usual, sizeof option);
    dice = memory = n_blocks = tokens = 0;
    int code = setjmp(leave);
    if (!code) run_main(argc, argv);
    if (code == 1) refused++;
    else if (!strcmp(argv[2], "probs")) listed++;
    else if (tokens > 1) ++*(strcmp(argv[2], "chat") ? &completed : &answered);

    while (n_blocks) free(blocks[--n_blocks]);
    for (int i = 0; i < argc; i++) free(argv[i]);
    free(argv);
    if (opened) fclose(opened);
    return opened = NULL, 0;
}

/* ---- Mutations: libFuzzer's own, of one part at a time, and numbers under their names ---- */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static size_t mutate(uint8_t *data, size_t size, size_t max_size, size_t from, size_t to) {
    size_t room = max_size - size, part = to - from;
    if (part + room == 0) return size;
    uint8_t *copy = memcpy(malloc(part + room), data + from, part);
    size_t changed = LLVMFuzzerMutate(copy, part, part + room);
    memmove(data + from + changed, data + to, size - to);
    memcpy(data + from, copy, changed), free(copy);
    return size - part + changed;
}
/* Writes a number under one of the names or the same under all of a shape. */
static void set_numbers(uint8_t *file, size_t size, unsigned seed) {
    static const char *const NAMES[] = {
        ".block_count",   ".embedding_length",     ".feed_forward_length", ".head_count",
        ".head_count_kv", ".rope.dimension_count", ".context_length",      ".alignment",
        ".bos_token_id",  ".eos_token_id",         ".add_bos_token",       ".freq_base"};
    static const uint32_t NUMBERS[] = {0,  1,  2,   3,    4,     5,       6,          8,
                                       16, 31, 32,  33,   64,    100,     1000,       4096,
                                       77, 12, 255, 1024, 46341, 1000000, 0x7fffffff, 0xffffffff};
    unsigned chosen = seed % 13, from = chosen < 12 ? chosen : 1, to = chosen < 12 ? chosen + 1 : 6;
    for (; from < to; from++) {
        uint8_t *at = memmem(file, size, NAMES[from], strlen(NAMES[from]));
        size_t after = at ? at - file + strlen(NAMES[from]) + 4 : size; // its type has four bytes
        if (after + 4 <= size) memcpy(file + after, &NUMBERS[seed / 13 % 24], 4);
    }
}
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    uint8_t *magic = memmem(data, size, "GGUF", 4), *last = NULL;
    if (!magic) return LLVMFuzzerMutate(data, size, max_size);
    size_t front = magic - data, header = size - front;
    for (uint8_t *at = magic; (at = memmem(at, data + size - at, ".weight", 7)); at += 7) last = at;
    if (last && last + 39 < data + size) header = last + 39 - magic; // a name's shape and place
    switch (seed >> 8 & 3) {
    case 0:
        return mutate(data, size, max_size, 0, front);
    case 1:
        return mutate(data, size, max_size, front, front + header);
    case 2:
        return set_numbers(magic, size - front, seed >> 12), size;
    default:
        return LLVMFuzzerMutate(data, size, max_size);
    }
}
