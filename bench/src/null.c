/* Null calls of libtirpc over the kernel's loopback: `null CALLERS MILLISECONDS` prints how many
 * there were, in how many seconds, and in how many of processor time of both ends. */
#include <arpa/inet.h>
#include <pthread.h>
#include <rpc/rpc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM 0x20000778

static struct sockaddr_in server;
static volatile int over;

static void null(struct svc_req *request, SVCXPRT *transport) {
    (void)request;
    svc_sendreply(transport, (xdrproc_t)xdr_void, NULL);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double used(int who) {
    struct rusage u;
    getrusage(who, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void *call(void *count) {
    int sock = RPC_ANYSOCK;
    struct timeval limit = {25, 0};
    struct sockaddr_in to = server;
    CLIENT *client = clnttcp_create(&to, PROGRAM, 1, &sock, 0, 0);
    if (!client) {
        clnt_pcreateerror("client");
        exit(1);
    }
    while (!over) {
        if (clnt_call(client, 0, (xdrproc_t)xdr_void, NULL, (xdrproc_t)xdr_void, NULL, limit))
            exit(1);
        ++*(long *)count;
    }
    return NULL;
}

int main(int argc, char **argv) {
    int callers = argc > 2 ? atoi(argv[1]) : 1, n;
    int sock = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = sizeof server;
    server.sin_family = AF_INET;
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(sock, (void *)&server, sizeof server) || listen(sock, 128))
        return 1;
    getsockname(sock, (void *)&server, &size);
    pid_t child = fork();
    if (!child) {
        SVCXPRT *transport = svctcp_create(sock, 0, 0);
        if (!transport || !svc_register(transport, PROGRAM, 1, null, 0))
            return 1;
        svc_run();
    }
    pthread_t threads[callers];
    static long counts[1024][8], total;
    double began = now();
    for (n = 0; n < callers; n++)
        pthread_create(&threads[n], NULL, call, counts[n]);
    usleep(1000 * atoi(argv[2]));
    over = 1;
    for (n = 0; n < callers; n++) {
        pthread_join(threads[n], NULL);
        total += counts[n][0];
    }
    double took = now() - began;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    printf("%ld %f %f\n", total, took, used(RUSAGE_SELF) + used(RUSAGE_CHILDREN));
    return 0;
}
