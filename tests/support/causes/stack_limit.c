/* Use the stack by recursion: KiB. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int recurse(int depth) {
    volatile char frame[1000];
    memset((char *)frame, depth, sizeof frame);
    return depth ? recurse(depth - 1) + frame[0] : 0;
}

int main(int count, char **arguments) {
    recurse(count > 1 ? atoi(arguments[1]) : 0);
    puts("ready");
    fflush(stdout);
    pause();
}
