/* What libtirpc and rpcgen make of showcase.x: `codec`, `client TRANSPORT ADDRESS PORT` and
 * `server TRANSPORT ADDRESS`. Values go by the standard streams, in XDR behind their length. */
#include "showcase.h"
#include <arpa/inet.h>
#include <errno.h>
#include <rpc/clnt_soc.h>
#include <rpc/svc_soc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LONGEST 65536

void showcase_prog_1(struct svc_req *, SVCXPRT *);

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int get(everything *value) {
    static char bytes[LONGEST];
    uint32_t length;
    XDR xdr;
    if (fread(&length, 4, 1, stdin) != 1)
        return 0;
    length = ntohl(length);
    if (length > LONGEST || fread(bytes, 1, length, stdin) != length)
        die("input");
    memset(value, 0, sizeof *value);
    xdrmem_create(&xdr, bytes, length, XDR_DECODE);
    if (!xdr_everything(&xdr, value) || xdr_getpos(&xdr) != length) {
        fprintf(stderr, "it does not decode\n");
        exit(1);
    }
    return 1;
}

static void put(everything *value) {
    static char bytes[LONGEST];
    XDR xdr;
    xdrmem_create(&xdr, bytes, LONGEST, XDR_ENCODE);
    if (!xdr_everything(&xdr, value)) {
        fprintf(stderr, "it does not encode\n");
        exit(1);
    }
    uint32_t length = htonl(xdr_getpos(&xdr));
    fwrite(&length, 4, 1, stdout);
    fwrite(bytes, 1, xdr_getpos(&xdr), stdout);
    fflush(stdout);
}

static int codec(void) {
    everything value;
    while (get(&value)) {
        put(&value);
        xdr_free((xdrproc_t)xdr_everything, (char *)&value);
    }
    return 0;
}

static CLIENT *connected(char **argv) {
    int sock = RPC_ANYSOCK;
    struct timeval again = {0, 300000};
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    inet_pton(AF_INET, argv[3], &in.sin_addr);
    in.sin_port = htons(atoi(argv[4]));
    if (!strcmp(argv[2], "tcp"))
        return clnttcp_create(&in, SHOWCASE_PROG, SHOWCASE_VERS, &sock, 0, 0);
    if (!strcmp(argv[2], "udp"))
        return clntudp_create(&in, SHOWCASE_PROG, SHOWCASE_VERS, again, &sock);
    strncpy(un.sun_path, argv[3], sizeof un.sun_path - 1);
    return clntunix_create(&un, SHOWCASE_PROG, SHOWCASE_VERS, &sock, 0, 0);
}

static int client(char **argv) {
    CLIENT *client = connected(argv);
    everything value;
    if (!client) {
        clnt_pcreateerror("client");
        return 1;
    }
    client->cl_auth = authunix_create("krypton", 1000, 100, 0, NULL);
    if (!showcase_null_1(NULL, client)) {
        clnt_perror(client, "null");
        return 1;
    }
    while (get(&value)) {
        everything *echoed = showcase_echo_1(&value, client);
        if (!echoed) {
            clnt_perror(client, "echo");
            return 1;
        }
        put(echoed);
        clnt_freeres(client, (xdrproc_t)xdr_everything, (caddr_t)echoed);
        xdr_free((xdrproc_t)xdr_everything, (char *)&value);
    }
    clnt_destroy(client);
    return 0;
}

static int server(char **argv) {
    SVCXPRT *transport;
    int udp = !strcmp(argv[2], "udp");
    if (!strcmp(argv[2], "unix")) {
        transport = svcunix_create(RPC_ANYSOCK, 0, 0, argv[3]);
    } else {
        struct sockaddr_in in = {.sin_family = AF_INET};
        socklen_t size = sizeof in;
        int sock = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
        inet_pton(AF_INET, argv[3], &in.sin_addr);
        if (bind(sock, (struct sockaddr *)&in, sizeof in) || (!udp && listen(sock, 16)))
            die("bind");
        getsockname(sock, (struct sockaddr *)&in, &size);
        transport = udp ? svcudp_create(sock) : svctcp_create(sock, 0, 0);
        printf("%d\n", ntohs(in.sin_port));
    }
    if (!transport || !svc_register(transport, SHOWCASE_PROG, SHOWCASE_VERS, showcase_prog_1, 0))
        die("server");
    if (!strcmp(argv[2], "unix"))
        printf("0\n");
    fflush(stdout);
    svc_run();
    return 1;
}

void *showcase_null_1_svc(void *argument, struct svc_req *request) {
    static char nothing;
    (void)argument, (void)request;
    return &nothing;
}

everything *showcase_echo_1_svc(everything *argument, struct svc_req *request) {
    (void)request;
    return argument;
}

int *showcase_count_1_svc(void *argument, struct svc_req *request) {
    static int count;
    (void)argument, (void)request;
    count++;
    return &count;
}

name *showcase_greet_1_svc(name *argument, struct svc_req *request) {
    static char text[64];
    static name greeting = text;
    (void)request;
    snprintf(text, sizeof text, "hello %s", *argument);
    return &greeting;
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "codec"))
        return codec();
    if (argc > 3 && !strcmp(argv[1], "client"))
        return client(argv);
    return server(argv);
}
