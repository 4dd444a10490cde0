/* Wait. Compile with -z execstack, or without. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    puts("ready");
    fflush(stdout);
    pause();
}
