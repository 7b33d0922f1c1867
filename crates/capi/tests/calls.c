/* Every call of sockeye.h, as a C program makes it: what works, and what is refused and how. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sockeye.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            char why[256];                                                               \
            int error = errno;                                                           \
            sockeye_error(why, sizeof why);                                              \
            fprintf(stderr, "line %d: %s: %s; %s\n", __LINE__, #condition, strerror(error), why); \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

#define FAILS(call, wanted)        \
    do {                           \
        errno = 0;                 \
        CHECK((call) == -1);       \
        CHECK(errno == (wanted));  \
    } while (0)

static int one, two;

static struct sockaddr_in at(const char *host, int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    CHECK(inet_pton(AF_INET, host, &address.sin_addr) == 1);
    return address;
}

#define SA(address) (struct sockaddr *)&(address), sizeof(address)

static int bound(int node, int type, const char *host, int port)
{
    struct sockaddr_in address = at(host, port);
    int s = sockeye_socket(node, AF_INET, type, 0);
    CHECK(s >= SOCKEYE_HANDLE_MIN);
    CHECK(sockeye_bind(s, SA(address)) == 0);
    return s;
}

static void *connects_and_closes(void *port)
{
    struct sockaddr_in address = at("10.0.0.2", *(int *)port);
    int s = sockeye_socket(one, AF_INET, SOCK_STREAM, 0);
    CHECK(sockeye_connect(s, SA(address)) == 0);
    CHECK(sockeye_send(s, "from afar", 9, 0) == 9);
    CHECK(sockeye_close(s) == 0);
    /* Each thread has an errno and words of its own. */
    FAILS(sockeye_close(s), EBADF);
    return NULL;
}

static void streams(void)
{
    int listener = bound(two, SOCK_STREAM, "10.0.0.2", 80), port = 80;
    FAILS(sockeye_accept(listener, NULL, NULL), EINVAL);
    CHECK(sockeye_listen(listener, 4) == 0);
    CHECK(sockeye_fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
    CHECK(sockeye_fcntl(listener, F_GETFL, 0) & O_NONBLOCK);
    FAILS(sockeye_accept(listener, NULL, NULL), EAGAIN);
    CHECK(sockeye_fcntl(listener, F_SETFL, 0) == 0);

    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, connects_and_closes, &port) == 0);
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    int s = sockeye_accept4(listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK);
    CHECK(s >= SOCKEYE_HANDLE_MIN && len == sizeof peer && peer.sin_family == AF_INET);
    CHECK(peer.sin_addr.s_addr == at("10.0.0.1", 0).sin_addr.s_addr);
    CHECK(sockeye_fcntl(s, F_GETFL, 0) & O_NONBLOCK);

    struct pollfd fds[3] = { { .fd = s, .events = POLLIN | POLLRDHUP }, { .fd = -1 }, { .fd = listener } };
    CHECK(sockeye_poll(fds, 3, -1) == 1 && fds[0].revents & POLLIN && fds[2].revents == 0);
    char text[32] = { 0 };
    CHECK(sockeye_fcntl(s, F_SETFL, 0) == 0);
    CHECK(sockeye_recv(s, text, sizeof text, MSG_PEEK) == 9);
    CHECK(sockeye_recv(s, text, 5, MSG_WAITALL) == 5 && memcmp(text, "from ", 5) == 0);
    CHECK(sockeye_recvfrom(s, text, sizeof text, 0, NULL, NULL) == 4);
    CHECK(sockeye_recv(s, text, sizeof text, 0) == 0);
    CHECK(pthread_join(thread, NULL) == 0);

    struct sockaddr_in name;
    len = sizeof name;
    CHECK(sockeye_getsockname(s, (struct sockaddr *)&name, &len) == 0 && ntohs(name.sin_port) == 80);
    len = 2;
    memset(&name, 0, sizeof name);
    CHECK(sockeye_getpeername(s, (struct sockaddr *)&name, &len) == 0);
    CHECK(len == sizeof name && name.sin_family == AF_INET && name.sin_port == 0);
    CHECK(sockeye_shutdown(s, SHUT_WR) == 0);
    FAILS(sockeye_send(s, "x", 1, 0), EPIPE);
    FAILS(sockeye_shutdown(s, 9), EINVAL);
    CHECK(sockeye_close(s) == 0 && sockeye_close(listener) == 0);

    struct sockaddr_in nobody = at("10.0.0.2", 81);
    s = sockeye_socket(one, AF_INET, SOCK_STREAM, 0);
    FAILS(sockeye_connect(s, SA(nobody)), ECONNREFUSED);
    CHECK(sockeye_close(s) == 0);
}

static void datagrams(void)
{
    int a = bound(one, SOCK_DGRAM, "10.0.0.1", 7), b = bound(two, SOCK_DGRAM, "10.0.0.2", 7);
    struct sockaddr_in to = at("10.0.0.2", 7), from;
    socklen_t len = sizeof from;
    char text[32];
    CHECK(sockeye_sendto(a, "hello", 5, 0, SA(to)) == 5);
    CHECK(sockeye_recvfrom(b, text, sizeof text, 0, (struct sockaddr *)&from, &len) == 5);
    CHECK(len == sizeof from && ntohs(from.sin_port) == 7);
    FAILS(sockeye_recv(b, text, sizeof text, MSG_DONTWAIT), EAGAIN);

    /* Two pieces go and two come, with a control message each way. */
    int on = 1, tos = 0x20;
    CHECK(sockeye_setsockopt(b, IPPROTO_IP, IP_RECVTOS, &on, sizeof on) == 0);
    union { char bytes[64]; struct cmsghdr aligned; } control = { .bytes = { 0 } };
    struct iovec out[2] = { { "two ", 4 }, { "pieces", 6 } };
    struct msghdr message = { .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = out, .msg_iovlen = 2,
                              .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(sizeof tos) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_TOS;
    c->cmsg_len = CMSG_LEN(sizeof tos);
    memcpy(CMSG_DATA(c), &tos, sizeof tos);
    CHECK(sockeye_sendmsg(a, &message, 0) == 10);

    char first[3], second[5];
    struct iovec in[2] = { { first, sizeof first }, { second, sizeof second } };
    struct msghdr got = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = in, .msg_iovlen = 2,
                          .msg_control = control.bytes, .msg_controllen = sizeof control };
    CHECK(sockeye_recvmsg(b, &got, 0) == 8 && got.msg_flags == MSG_TRUNC);
    CHECK(memcmp(first, "two", 3) == 0 && memcmp(second, " piec", 5) == 0);
    c = CMSG_FIRSTHDR(&got);
    CHECK(c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS && *CMSG_DATA(c) == 0x20);
    CHECK(CMSG_NXTHDR(&got, c) == NULL && got.msg_namelen == sizeof from);

    in[1].iov_base = first + 1;
    FAILS(sockeye_recvmsg(b, &got, MSG_DONTWAIT), EINVAL);
    got.msg_iovlen = 1025;
    FAILS(sockeye_recvmsg(b, &got, 0), EMSGSIZE);
    c->cmsg_len = 3;
    FAILS(sockeye_sendmsg(a, &message, 0), EINVAL);

    /* A connected one, and without a peer again. */
    CHECK(sockeye_connect(a, SA(to)) == 0 && sockeye_send(a, "x", 1, 0) == 1);
    struct sockaddr_in nobody = { .sin_family = AF_UNSPEC };
    CHECK(sockeye_connect(a, SA(nobody)) == 0);
    FAILS(sockeye_send(a, "x", 1, 0), EDESTADDRREQ);
    CHECK(sockeye_close(a) == 0 && sockeye_close(b) == 0);
}

static void options(void)
{
    int s = sockeye_socket(one, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), value = 1;
    socklen_t len = sizeof value;
    CHECK(sockeye_fcntl(s, F_GETFL, 0) & O_NONBLOCK);
    CHECK(sockeye_setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) == 0);
    value = 0;
    CHECK(sockeye_getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, &len) == 0);
    CHECK(value == 1 && len == sizeof value);
    CHECK(sockeye_getsockopt(s, SOL_SOCKET, SO_TYPE, &value, &len) == 0 && value == SOCK_STREAM);
    FAILS(sockeye_setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, 1), EINVAL);
    FAILS(sockeye_setsockopt(s, IPPROTO_TCP, 9999, &value, sizeof value), ENOPROTOOPT);
    FAILS(sockeye_setsockopt(s, IPPROTO_TCP, TCP_NODELAY, NULL, sizeof value), EFAULT);
    FAILS(sockeye_getsockopt(s, IPPROTO_TCP, TCP_NODELAY, NULL, &len), EFAULT);
    FAILS(sockeye_getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, NULL), EFAULT);
    len = (socklen_t)-1;
    FAILS(sockeye_getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, &len), EINVAL);
    FAILS(sockeye_fcntl(s, F_DUPFD, 0), EINVAL);
    CHECK(sockeye_close(s) == 0);
}

static void what_is_wrong_is_said(void)
{
    struct sockaddr_in address = at("10.0.0.1", 9);
    socklen_t len = sizeof address;
    struct msghdr message = { .msg_iovlen = 1 };
    char text[8];
    int numbers[] = { -1, 0, 2, 99999, SOCKEYE_HANDLE_MIN + SOCKEYE_HANDLES_MAX, 0x7fffffff };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int s = numbers[i];
        FAILS(sockeye_bind(s, SA(address)), EBADF);
        FAILS(sockeye_recv(s, text, sizeof text, 0), EBADF);
        FAILS(sockeye_sendmsg(s, &message, 0), EBADF);
        FAILS(sockeye_link_user(s, 0), EBADF);
        FAILS(sockeye_socket(s, AF_INET, SOCK_STREAM, 0), EBADF);
        FAILS(sockeye_close(s), EBADF);
    }
    FAILS(sockeye_listen(one, 1), ENOTSOCK);
    FAILS(sockeye_socket(one, AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
    FAILS(sockeye_socket(one, AF_INET, 77, 0), ESOCKTNOSUPPORT);

    int s = sockeye_socket(one, AF_INET, SOCK_DGRAM, 0);
    FAILS(read(s, text, sizeof text), EBADF); /* not the kernel's */
    FAILS(sockeye_link_user(s, 0), EINVAL);
    FAILS(sockeye_bind(s, NULL, sizeof address), EFAULT);
    FAILS(sockeye_bind(s, (struct sockaddr *)&address, 7), EINVAL);
    FAILS(sockeye_connect(s, NULL, 0), EFAULT);
    FAILS(sockeye_sendto(s, NULL, 3, 0, SA(address)), EFAULT);
    FAILS(sockeye_recv(s, NULL, 3, 0), EFAULT);
    FAILS(sockeye_recvfrom(s, text, 3, 0, (struct sockaddr *)&address, NULL), EFAULT);
    FAILS(sockeye_getsockname(s, NULL, &len), EFAULT);
    FAILS(sockeye_getpeername(s, (struct sockaddr *)&address, &len), ENOTCONN);
    FAILS(sockeye_sendmsg(s, NULL, 0), EFAULT);
    FAILS(sockeye_recvmsg(s, NULL, 0), EFAULT);
    FAILS(sockeye_sendmsg(s, &message, 0), EFAULT);
    FAILS(sockeye_poll(NULL, 1, 0), EFAULT);
    FAILS(sockeye_poll(NULL, 0, -1), EINVAL);
    FAILS(sockeye_poll(NULL, (nfds_t)-1, 0), EINVAL);
    CHECK(sockeye_poll(NULL, 0, 1) == 0);
    struct pollfd bad = { .fd = 1, .events = POLLIN };
    CHECK(sockeye_poll(&bad, 1, -1) == 1 && bad.revents == POLLNVAL);
    CHECK(sockeye_close(s) == 0);
    FAILS(sockeye_close(s), EBADF);

    FAILS(sockeye_node_new("net.ipv4.tcp_sack"), EINVAL);
    FAILS(sockeye_node_new("net.ipv4.nothing=1"), EINVAL);
    FAILS(sockeye_link_pair(one, NULL, "10.0.1.1/24", two, "eth1", "10.0.1.2/24", NULL), EFAULT);
    FAILS(sockeye_link_pair(one, "eth1", "10.0.1.1", two, "eth1", "10.0.1.2/24", NULL), EINVAL);
    FAILS(sockeye_link_pair(one, "eth1", "10.0.1.1/24", two, "eth1", "", "lag=1ms"), EINVAL);
    FAILS(sockeye_link_tun(one, "a-name-that-is-too-long", "10.0.1.1/24"), EINVAL);
    FAILS(sockeye_link_switch(one, "eth1", "/proc/no/such", "10.0.1.1/24"), ENOENT);
    FAILS(sockeye_link_user(one, 6), EINVAL);
    FAILS(sockeye_route_add(one, "eth7", "0.0.0.0/0", "10.0.0.2"), ENODEV);
    char words[256];
    CHECK(sockeye_error(words, sizeof words) == strlen(words) && strstr(words, "lo, eth0"));
    CHECK(sockeye_error(words, 4) > 4 && strlen(words) == 3);
    CHECK(sockeye_error(NULL, 9) > 4);
}

int main(void)
{
    one = sockeye_node_new("net.ipv4.tcp_sack=0\n\nnet.ipv4.tcp_timestamps=1");
    two = sockeye_node_new(NULL);
    CHECK(one >= SOCKEYE_HANDLE_MIN && two > one);
    CHECK(sockeye_link_pair(one, "eth0", "10.0.0.1/24,fd00::1/64", two, "eth0", "10.0.0.2/24", "delay=1ms") == 0);
    CHECK(sockeye_route_add(one, "eth0", "10.9.0.0/16", "10.0.0.2") == 0);
    streams();
    datagrams();
    options();
    what_is_wrong_is_said();

    int left = sockeye_socket(one, AF_INET, SOCK_DGRAM, 0);
    char text[4];
    CHECK(sockeye_close(one) == 0 && sockeye_close(two) == 0);
    FAILS(sockeye_recv(left, text, sizeof text, 0), ESHUTDOWN);
    CHECK(sockeye_close(left) == 0);
    puts("every call");
    return 0;
}
