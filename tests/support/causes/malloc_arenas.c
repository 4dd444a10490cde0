/* Allocate 4 MiB in each thread: the number of threads. Compile with -pthread. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_barrier_t all;

static void *allocate(void *unused) {
    pthread_barrier_wait(&all);
    for (int block = 0; block < 64; block++)
        memset(malloc(64 << 10), 1, 64 << 10);
    pthread_barrier_wait(&all);
    pause();
    return unused;
}

int main(int count, char **arguments) {
    int threads = count > 1 ? atoi(arguments[1]) : 8;
    pthread_t thread;
    mallopt(M_ARENA_MAX, threads + 1);
    pthread_barrier_init(&all, NULL, threads + 1);
    for (int number = 0; number < threads; number++)
        pthread_create(&thread, NULL, allocate, NULL);
    pthread_barrier_wait(&all);
    pthread_barrier_wait(&all);
    puts("ready");
    fflush(stdout);
    pause();
}
