/*
 * Read a smaps file and parse every value of it: the lower bound for a parser.
 *
 *     smaps FILE REPETITIONS
 *
 * Prints the sum of Rss in kB, and the least CPU seconds of a read and of a parse.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FIELDS = 64 };

struct mapping {
    unsigned long start, end, offset, inode;
    unsigned major, minor;
    char perms[4];
    const char *name;
    size_t name_length;
    unsigned long values[MAX_FIELDS];
    const char *flags;
    size_t flags_length;
};

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static char *read_file(const char *path, size_t *length)
{
    static char *text;
    static size_t capacity;
    int file = open(path, O_RDONLY);
    ssize_t got;
    if (file < 0) {
        perror(path);
        exit(1);
    }
    *length = 0;
    do {
        if (capacity - *length < (1 << 20) + 1) {
            capacity = 2 * capacity + (2 << 20);
            text = realloc(text, capacity);
            if (text == NULL) {
                perror("realloc");
                exit(1);
            }
        }
        got = read(file, text + *length, capacity - *length - 1);
        if (got < 0) {
            perror(path);
            exit(1);
        }
        *length += (size_t)got;
    } while (got > 0);
    close(file);
    text[*length] = '\0';
    return text;
}

static unsigned long hex(const char **at)
{
    unsigned long value = 0;
    for (;; ++*at) {
        unsigned digit = (unsigned)**at - '0';
        if (digit > 9) {
            digit = (unsigned)**at - 'a' + 10;
            if (digit < 10 || digit > 15)
                return value;
        }
        value = value << 4 | digit;
    }
}

static unsigned long decimal(const char **at)
{
    unsigned long value = 0;
    for (unsigned digit; (digit = (unsigned)**at - '0') <= 9; ++*at)
        value = value * 10 + digit;
    return value;
}

/* Parse a text into an array of mappings; return the sum of the field Rss. */
static unsigned long parse(const char *at, const char *end, struct mapping **mappings,
                           size_t *capacity, size_t *count)
{
    unsigned long rss = 0;
    struct mapping *mapping = NULL;
    int field = 0;
    *count = 0;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL)
            line_end = end;
        if (*at >= 'A' && *at <= 'Z' && mapping != NULL) {
            const char *value = memchr(at, ':', (size_t)(line_end - at));
            const char *name = at;
            if (value == NULL)
                exit(1);
            for (at = value + 1; *at == ' '; ++at)
                ;
            if (*at >= '0' && *at <= '9') {
                unsigned long number = decimal(&at);
                if (field == MAX_FIELDS)
                    exit(1);
                mapping->values[field++] = number;
                if (value - name == 3 && memcmp(name, "Rss", 3) == 0)
                    rss += number;
            } else {
                mapping->flags = at;
                mapping->flags_length = (size_t)(line_end - at);
            }
        } else {
            if (*count == *capacity) {
                *capacity = 2 * *capacity + 1024;
                *mappings = realloc(*mappings, *capacity * sizeof **mappings);
                if (*mappings == NULL)
                    exit(1);
            }
            mapping = &(*mappings)[(*count)++];
            field = 0;
            mapping->start = hex(&at), ++at;
            mapping->end = hex(&at), ++at;
            memcpy(mapping->perms, at, 4), at += 5;
            mapping->offset = hex(&at), ++at;
            mapping->major = (unsigned)hex(&at), ++at;
            mapping->minor = (unsigned)hex(&at), ++at;
            mapping->inode = decimal(&at);
            while (*at == ' ')
                ++at;
            mapping->name = at;
            mapping->name_length = (size_t)(line_end - at);
        }
        at = line_end + 1;
    }
    return rss;
}

int main(int count_of_arguments, char **arguments)
{
    double read_least = 1e9, parse_least = 1e9;
    unsigned long rss = 0;
    struct mapping *mappings = NULL;
    size_t capacity = 0, count = 0;
    if (count_of_arguments != 3) {
        fprintf(stderr, "usage: smaps FILE REPETITIONS\n");
        return 2;
    }
    for (int left = atoi(arguments[2]); left > 0; --left) {
        size_t length;
        double begin = cpu_seconds(), middle;
        char *text = read_file(arguments[1], &length);
        middle = cpu_seconds();
        rss = parse(text, text + length, &mappings, &capacity, &count);
        double end = cpu_seconds();
        if (middle - begin < read_least)
            read_least = middle - begin;
        if (end - middle < parse_least)
            parse_least = end - middle;
    }
    printf("%lu %.9f %.9f\n", rss, read_least, parse_least);
    return 0;
}
