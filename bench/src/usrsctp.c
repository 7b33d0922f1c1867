/* usrsctp at its best in one thread: both ends of one association in this process.
 *
 * usrsctp.c LINK SIZE MILLISECONDS: sends messages of SIZE bytes for so long and prints how many
 * bits arrived in a second, of the processor's time. LINK is `memory`, packets of 1500 bytes in two rings between sockets of
 * AF_CONN, or `udp`, the same packets by a pair of UDP sockets over the kernel's loopback, many in
 * one call (UDP_SEGMENT, UDP_GRO). The
 * library runs without threads; time is given to it here. Nothing is switched off. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <usrsctp.h>

#define PACKET 1500
#define RING 8192 /* packets; the windows below are smaller */
#define BUFFER (256 << 10) /* the library's own; larger ones are slower */
#define CALL 60000 /* bytes of one call of UDP */
#define SEGMENTS 64 /* packets of one */

struct ring {
	unsigned head, tail;
	struct { size_t len; char bytes[PACKET]; } slot[RING];
};

static struct ring rings[2]; /* packets on their way to each end */
static int sockets[2] = {-1, -1}; /* UDP: each end's */
static int ends[2]; /* their addresses stand for the ends */

static double now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

/* The library sends: `from` is the end that does. */
static int output(void *from, void *bytes, size_t len, uint8_t tos, uint8_t df)
{
	int end = from == &ends[1];
	(void)tos;
	(void)df;
	struct ring *ring = &rings[!end];
	if (ring->head - ring->tail == RING || len > PACKET)
		return ENOBUFS;
	unsigned at = ring->head++ % RING;
	ring->slot[at].len = len;
	memcpy(ring->slot[at].bytes, bytes, len);
	return 0;
}

/* Sends what waits for the other end: packets of one length, and a shorter one behind them, in
 * one call. */
static void flush(int end)
{
	static char bytes[CALL];
	struct ring *ring = &rings[!end];
	while (ring->tail != ring->head) {
		size_t used = 0, last = 0;
		int count = 0, size = ring->slot[ring->tail % RING].len;
		while (ring->tail != ring->head) {
			unsigned at = ring->tail % RING;
			size_t len = ring->slot[at].len;
			if (used > 0 && (last < (size_t)size || len > (size_t)size || used + len > CALL ||
				 count == SEGMENTS))
				break;
			memcpy(bytes + used, ring->slot[at].bytes, len);
			used += len;
			last = len;
			count++;
			ring->tail++;
		}
		setsockopt(sockets[end], SOL_UDP, UDP_SEGMENT, &size, sizeof size);
		if (send(sockets[end], bytes, used, MSG_DONTWAIT) < 0 && errno != EAGAIN)
			die("send");
	}
}

/* Takes what has come for an end. */
static void receive(int end)
{
	static char bytes[1 << 16];
	char control[CMSG_SPACE(sizeof(int))];
	for (;;) {
		struct iovec data = {bytes, sizeof bytes};
		struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
					 .msg_controllen = sizeof control};
		ssize_t len = recvmsg(sockets[end], &message, MSG_DONTWAIT);
		if (len <= 0)
			return;
		int size = len;
		struct cmsghdr *said = CMSG_FIRSTHDR(&message);
		if (said && said->cmsg_level == SOL_UDP && said->cmsg_type == UDP_GRO)
			memcpy(&size, CMSG_DATA(said), sizeof size);
		for (ssize_t at = 0; at < len; at += size)
			usrsctp_conninput(&ends[end], bytes + at,
					  len - at < size ? (size_t)(len - at) : (size_t)size, 0);
	}
}

/* Hands over what is on its way to an end. */
static void deliver(int end)
{
	if (sockets[end] >= 0) {
		flush(!end);
		receive(end);
		return;
	}
	struct ring *ring = &rings[end];
	while (ring->tail != ring->head) {
		unsigned at = ring->tail % RING;
		usrsctp_conninput(&ends[end], ring->slot[at].bytes, ring->slot[at].len, 0);
		ring->tail++;
	}
}

static void turn(void)
{
	static double last;
	double t = now(CLOCK_MONOTONIC);
	if (last == 0)
		last = t;
	uint32_t elapsed = (t - last) * 1000;
	if (elapsed > 0) {
		usrsctp_handle_timers(elapsed);
		last += elapsed * 1e-3;
	}
	deliver(1);
	deliver(0);
}

static void udp_pair(void)
{
	struct sockaddr_in at[2];
	for (int i = 0; i < 2; i++) {
		socklen_t len = sizeof at[i];
		int size = 4 << 20;
		memset(&at[i], 0, sizeof at[i]);
		at[i].sin_family = AF_INET;
		at[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
		if (sockets[i] < 0 || bind(sockets[i], (struct sockaddr *)&at[i], sizeof at[i]) < 0 ||
		    getsockname(sockets[i], (struct sockaddr *)&at[i], &len) < 0)
			die("a UDP socket");
		int on = 1;
		setsockopt(sockets[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
		setsockopt(sockets[i], SOL_UDP, UDP_GRO, &on, sizeof on);
	}
	for (int i = 0; i < 2; i++)
		if (connect(sockets[i], (struct sockaddr *)&at[!i], sizeof at[!i]) < 0)
			die("a UDP socket");
}

static struct socket *open_socket(int end, int port)
{
	struct sockaddr_conn at;
	struct socket *s = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, 0, 0, 0, 0);
	int on = 1;
	if (!s)
		die("socket");
	memset(&at, 0, sizeof at);
	at.sconn_family = AF_CONN;
	at.sconn_port = htons(port);
	at.sconn_addr = &ends[end];
	if (usrsctp_bind(s, (struct sockaddr *)&at, sizeof at) < 0)
		die("bind");
	usrsctp_set_non_blocking(s, 1);
	usrsctp_setsockopt(s, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof on);
	return s;
}

/* Packets of 1500 bytes, as ours. The IP header that these lack is theirs to use. */
static void set_mtu(struct socket *s, const struct sockaddr_conn *peer)
{
	struct sctp_paddrparams path;
	memset(&path, 0, sizeof path);
	memcpy(&path.spp_address, peer, sizeof *peer);
	path.spp_flags = SPP_PMTUD_DISABLE;
	path.spp_pathmtu = PACKET;
	if (usrsctp_setsockopt(s, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof path) < 0)
		die("the path's MTU");
}

int main(int count, char **args)
{
	if (count != 4)
		return 2;
	size_t size = atol(args[2]);
	double time = atol(args[3]) * 1e-3;
	char *message = calloc(1, size), *buffer = malloc(BUFFER);
	if (!strcmp(args[1], "udp"))
		udp_pair();

	usrsctp_init_nothreads(0, output, NULL);
	usrsctp_register_address(&ends[0]);
	usrsctp_register_address(&ends[1]);
	usrsctp_sysctl_set_sctp_ecn_enable(0);
	/* As on the other side: nothing is in flight here when a SACK comes. */
	usrsctp_sysctl_set_sctp_max_burst_default(0);
	usrsctp_sysctl_set_sctp_sendspace(BUFFER);
	usrsctp_sysctl_set_sctp_recvspace(BUFFER);

	struct socket *listener = open_socket(1, 5001), *client = open_socket(0, 5000);
	struct sockaddr_conn to;
	if (usrsctp_listen(listener, 1) < 0)
		die("listen");
	memset(&to, 0, sizeof to);
	to.sconn_family = AF_CONN;
	to.sconn_port = htons(5001);
	to.sconn_addr = &ends[0];
	if (usrsctp_connect(client, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
		die("connect");
	struct socket *server = NULL;
	for (double end = now(CLOCK_MONOTONIC) + 5; !server && now(CLOCK_MONOTONIC) < end;) {
		turn();
		server = usrsctp_accept(listener, NULL, NULL);
	}
	if (!server)
		die("accept");
	usrsctp_set_non_blocking(server, 1);
	set_mtu(client, &to);
	to.sconn_port = htons(5000);
	to.sconn_addr = &ends[1];
	set_mtu(server, &to);

	/* Processor time: who else is on the machine does not count. */
	clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
	double start = now(clock), warm = start + time / 4, end = warm + time, t;
	unsigned long long arrived = 0;
	while ((t = now(clock)) < end) {
		if (warm && t >= warm) {
			start = t;
			end = t + time;
			warm = arrived = 0;
		}
		while (usrsctp_sendv(client, message, size, NULL, 0, NULL, 0, SCTP_SENDV_NOINFO, 0) > 0)
			;
		turn();
		for (;;) {
			struct sctp_rcvinfo info;
			socklen_t from_len = 0, info_len = sizeof info;
			unsigned type = 0;
			int flags = 0;
			ssize_t len = usrsctp_recvv(server, buffer, BUFFER, NULL, &from_len, &info,
						    &info_len, &type, &flags);
			if (len <= 0)
				break;
			arrived += len;
		}
	}
	printf("%.0f\n", arrived * 8 / (t - start));
	fflush(stdout);
	_exit(0);
}
