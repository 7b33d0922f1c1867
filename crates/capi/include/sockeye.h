/*
 * sockeye: network sockets in user space. The Berkeley calls on nodes of one's own.
 *
 * A node and a socket are named by a handle, a number from SOCKEYE_HANDLE_MIN on, which no
 * descriptor of the kernel is. Calls return -1 and set errno where they fail; sockeye_error()
 * tells the thread's last failure in words. Structures, flags, options and their numbers are the
 * system's (socket(7), ip(7), ipv6(7), tcp(7), udp(7)); the calls do what the manual pages of
 * their namesakes say, but for this:
 *
 *   - Families are AF_INET and AF_INET6.
 *   - No call sends SIGPIPE, and none ends with EINTR.
 *   - A handle is no descriptor: it is not inherited by exec, a forked child can't use it, and
 *     select, read and write do not know it (EBADF).
 *   - Every call may be made by any thread. Closing a socket does not end the calls on it that
 *     wait; sockeye_shutdown does.
 *
 * NULL where something is needed is EFAULT, a number that is no handle EBADF, a node where a
 * socket is needed ENOTSOCK, one handle too many EMFILE. ENOTRECOVERABLE is a mistake of sockeye.
 */
#ifndef SOCKEYE_H
#define SOCKEYE_H

#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The first handle. */
#define SOCKEYE_HANDLE_MIN 1073741824
/* How many nodes and sockets a process has at most at once. */
#define SOCKEYE_HANDLES_MAX 65536
/* For sockeye_link_user: 10.0.2.2:P and [fd00:2::2]:P reach the host's own loopback. */
#define SOCKEYE_ALLOW_HOST_LOOPBACK 1

/* -- Nodes. A list of addresses is "10.0.0.1/24,fd00::1/64"; "" is none. -- */

/* A node without links. settings: NULL, or lines NAME=VALUE in the words of sysctl(8). */
int sockeye_node_new(const char *settings);

/*
 * A cable in memory between two nodes, which carries IP packets. netem: NULL, or what happens to
 * packets in each direction, in the words of tc-netem(8): "delay=5ms,loss=1%". Where the second
 * node can't have its end, the first one keeps its own, with nobody at the other.
 */
int sockeye_link_pair(int one, const char *one_name, const char *one_addresses,
                      int other, const char *other_name, const char *other_addresses,
                      const char *netem);

/*
 * The virtual LAN of `sockeye run`, as eth0: the node is 10.0.2.15 and fd00:2::15, its gateway
 * 10.0.2.2 and fd00:2::2 leads out through the host's ordinary sockets. flags: 0 or
 * SOCKEYE_ALLOW_HOST_LOOPBACK. EEXIST where the node has one.
 */
int sockeye_link_user(int node, unsigned int flags);

/* A TAP or TUN device of the kernel, whose other end is the host's own network stack. */
int sockeye_link_tap(int node, const char *device, const char *addresses);
int sockeye_link_tun(int node, const char *device, const char *addresses);

/* An Ethernet shared with whoever else names that directory, `sockeye run` among them. */
int sockeye_link_switch(int node, const char *name, const char *directory, const char *addresses);

/* A route through the link `name`; gateway: NULL for neighbours. */
int sockeye_route_add(int node, const char *name, const char *destination, const char *gateway);

/*
 * Ends a socket, as close(2), or a node: all its sockets are closed then, and up to 5 seconds are
 * waited until what was written has arrived. ETIMEDOUT: some of it has not; the node has ended.
 * A process that exits without closing its nodes takes what is on its way along.
 */
int sockeye_close(int handle);

/* -- Sockets. -- */

int sockeye_socket(int node, int domain, int type, int protocol);
int sockeye_bind(int socket, const struct sockaddr *address, socklen_t len);
int sockeye_listen(int socket, int backlog);
int sockeye_accept(int socket, struct sockaddr *address, socklen_t *len);
int sockeye_accept4(int socket, struct sockaddr *address, socklen_t *len, int flags);
int sockeye_connect(int socket, const struct sockaddr *address, socklen_t len);
int sockeye_shutdown(int socket, int how);
int sockeye_getsockname(int socket, struct sockaddr *address, socklen_t *len);
int sockeye_getpeername(int socket, struct sockaddr *address, socklen_t *len);
int sockeye_setsockopt(int socket, int level, int name, const void *value, socklen_t len);
int sockeye_getsockopt(int socket, int level, int name, void *value, socklen_t *len);

/* F_GETFL and F_SETFL, of which O_NONBLOCK counts. */
int sockeye_fcntl(int socket, int command, int argument);

ssize_t sockeye_send(int socket, const void *data, size_t len, int flags);
ssize_t sockeye_sendto(int socket, const void *data, size_t len, int flags,
                       const struct sockaddr *address, socklen_t address_len);
ssize_t sockeye_sendmsg(int socket, const struct msghdr *message, int flags);
ssize_t sockeye_recv(int socket, void *buffer, size_t len, int flags);
ssize_t sockeye_recvfrom(int socket, void *buffer, size_t len, int flags,
                         struct sockaddr *address, socklen_t *address_len);

/* EINVAL where two of the places that it writes overlap. */
ssize_t sockeye_recvmsg(int socket, struct msghdr *message, int flags);

/*
 * poll(2) over sockets of one node or of several: the field fd holds handles. EINVAL for a wait
 * without end for nothing.
 */
int sockeye_poll(struct pollfd *entries, nfds_t count, int timeout_ms);

/*
 * The thread's last failure in words, cut to `room` bytes with the NUL. Returns how many bytes the
 * whole takes without it, 0 where nothing has failed. Leaves errno alone.
 */
size_t sockeye_error(char *out, size_t room);

#ifdef __cplusplus
}
#endif

#endif
