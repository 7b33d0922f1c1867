/* The other end of a test of SCTP's extensions, by Linux's sockets or, with -DUSRSCTP, by usrsctp.
 *
 * It reads commands, one a line, and says what happens, a line each; both stacks by the same words.
 * A message has its number as its payload protocol identifier, and bytes that follow from it:
 * `got STREAM SSN NUMBER SIZE`, with `unordered` where it is, and `bad` where bytes are others. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef USRSCTP
#include <usrsctp.h>
#ifndef SCTP_INTERLEAVING_SUPPORTED
#define SCTP_INTERLEAVING_SUPPORTED 0x1206 /* the header of 0.9.5 lacks it */
#endif
#define ISSUE(call) usrsctp_##call
typedef struct socket *Socket;
#else
#include <linux/sctp.h>
#define ISSUE(call) call
typedef int Socket;
#endif

#define LONGEST (1 << 20)
#define PPID 0x70000000u /* with a message's number: nobody else's payload protocol identifier */
#define STREAMS 64

static Socket sock;

static void fail(const char *what)
{
	printf("%s fails: %s\n", what, strerror(errno));
	exit(1);
}

static void set(const char *name, int option, const void *value, socklen_t len)
{
	if (ISSUE(setsockopt)(sock, IPPROTO_SCTP, option, value, len) < 0)
		fail(name);
}

/* The same, again and again while something is under way. */
static void request(const char *name, int option, const void *value, socklen_t len)
{
	for (int tries = 0; tries < 100; tries++) {
		if (ISSUE(setsockopt)(sock, IPPROTO_SCTP, option, value, len) == 0)
			return;
		if (errno != EBUSY && errno != EAGAIN && errno != EINPROGRESS && errno != EALREADY)
			break;
		usleep(20000);
	}
	fail(name);
}

static void set_value(const char *name, int option, uint32_t number)
{
	struct sctp_assoc_value value = {.assoc_value = number};
	set(name, option, &value, sizeof value);
}

static struct sockaddr_in at(const char *ip, const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port ? atoi(port) : 0)};
	if (inet_pton(AF_INET, ip, &address.sin_addr) != 1)
		fail(ip);
	return address;
}

#ifdef USRSCTP
static void bind_more(struct sockaddr_in *address, int add)
{
	if (usrsctp_bindx(sock, (struct sockaddr *)address, 1,
			  add ? SCTP_BINDX_ADD_ADDR : SCTP_BINDX_REM_ADDR) < 0)
		fail("bindx");
}

static ssize_t send_message(const void *data, size_t len, struct sctp_sendv_spa *spa)
{
	return usrsctp_sendv(sock, data, len, NULL, 0, spa, sizeof *spa, SCTP_SENDV_SPA, 0);
}

static ssize_t receive(void *data, struct sctp_rcvinfo *info, int *flags)
{
	socklen_t from = 0, len = sizeof *info;
	unsigned type = 0;
	*flags = 0;
	return usrsctp_recvv(sock, data, LONGEST, NULL, &from, info, &len, &type, flags);
}
#else
static void bind_more(struct sockaddr_in *address, int add)
{
	set("bindx", add ? SCTP_SOCKOPT_BINDX_ADD : SCTP_SOCKOPT_BINDX_REM, address, sizeof *address);
}

#define SCTP_SEND_PRINFO_VALID 2
#define SCTP_SEND_AUTHINFO_VALID 4
struct sctp_sendv_spa {
	uint32_t sendv_flags;
	struct sctp_sndinfo sendv_sndinfo;
	struct sctp_prinfo sendv_prinfo;
	struct sctp_authinfo sendv_authinfo;
};
#define SCTP_SEND_SNDINFO_VALID 1

static size_t put(char *control, size_t at, int type, const void *value, size_t len)
{
	struct cmsghdr head = {.cmsg_len = CMSG_LEN(len), .cmsg_level = IPPROTO_SCTP, .cmsg_type = type};
	memcpy(control + at, &head, sizeof head);
	memcpy(control + at + CMSG_LEN(0), value, len);
	return at + CMSG_SPACE(len);
}

static ssize_t send_message(const void *data, size_t len, struct sctp_sendv_spa *spa)
{
	static char control[200];
	size_t used = put(control, 0, SCTP_SNDINFO, &spa->sendv_sndinfo, sizeof spa->sendv_sndinfo);
	if (spa->sendv_flags & SCTP_SEND_PRINFO_VALID)
		used = put(control, used, SCTP_PRINFO, &spa->sendv_prinfo, sizeof spa->sendv_prinfo);
	if (spa->sendv_flags & SCTP_SEND_AUTHINFO_VALID)
		used = put(control, used, SCTP_AUTHINFO, &spa->sendv_authinfo, sizeof spa->sendv_authinfo);
	struct iovec slice = {(void *)data, len};
	struct msghdr message = {.msg_iov = &slice, .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = used};
	return sendmsg(sock, &message, MSG_NOSIGNAL);
}

static ssize_t receive(void *data, struct sctp_rcvinfo *info, int *flags)
{
	static char control[400];
	struct iovec slice = {data, LONGEST};
	struct msghdr message = {.msg_iov = &slice, .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = sizeof control};
	ssize_t len = recvmsg(sock, &message, 0);
	*flags = message.msg_flags;
	for (struct cmsghdr *said = CMSG_FIRSTHDR(&message); said; said = CMSG_NXTHDR(&message, said))
		if (said->cmsg_level == IPPROTO_SCTP && said->cmsg_type == SCTP_RCVINFO)
			memcpy(info, CMSG_DATA(said), sizeof *info);
	return len;
}
#endif

static void tell_address(const struct sctp_paddr_change *said)
{
	static const struct { int state; const char *word; } words[] = {
		{SCTP_ADDR_AVAILABLE, "available"}, {SCTP_ADDR_UNREACHABLE, "unreachable"},
		{SCTP_ADDR_REMOVED, "removed"}, {SCTP_ADDR_ADDED, "added"},
		{SCTP_ADDR_MADE_PRIM, "primary"}, {SCTP_ADDR_CONFIRMED, "confirmed"},
#ifdef SCTP_ADDR_PF
		{SCTP_ADDR_PF, "potentially-failed"},
#endif
	};
	char ip[INET_ADDRSTRLEN] = "?";
	struct sockaddr_in address;
	const char *word = "otherwise";
	memcpy(&address, &said->spc_aaddr, sizeof address);
	inet_ntop(AF_INET, &address.sin_addr, ip, sizeof ip);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (words[i].state == (int)said->spc_state)
			word = words[i].word;
	printf("address %s %s\n", ip, word);
}

static void tell_change(const struct sctp_assoc_change *said)
{
	switch (said->sac_state) {
	case SCTP_COMM_UP:
		printf("up %u %u\n", said->sac_outbound_streams, said->sac_inbound_streams);
		break;
	case SCTP_COMM_LOST:
		printf("lost %u\n", said->sac_error);
		break;
	case SCTP_RESTART:
		printf("restart\n");
		break;
	case SCTP_SHUTDOWN_COMP:
		printf("end\n");
		break;
	default:
		printf("can't start\n");
	}
}

static void tell(const union sctp_notification *notice, size_t len)
{
	switch (notice->sn_header.sn_type) {
	case SCTP_ASSOC_CHANGE:
		tell_change(&notice->sn_assoc_change);
		break;
	case SCTP_PEER_ADDR_CHANGE:
		tell_address(&notice->sn_paddr_change);
		break;
	case SCTP_REMOTE_ERROR:
		printf("error %u\n", ntohs(notice->sn_remote_error.sre_error));
		break;
	case SCTP_SEND_FAILED_EVENT:
		printf("send-failed %u\n", ntohl(notice->sn_send_failed_event.ssfe_info.snd_ppid) & ~PPID);
		break;
	case SCTP_SHUTDOWN_EVENT:
		printf("shutdown\n");
		break;
	case SCTP_AUTHENTICATION_EVENT:
		printf("auth\n");
		break;
	case SCTP_SENDER_DRY_EVENT:
		printf("dry\n");
		break;
	case SCTP_STREAM_RESET_EVENT: {
		const struct sctp_stream_reset_event *said = (const void *)notice;
		size_t count = (len - sizeof *said) / sizeof(uint16_t);
		printf("reset %u:", said->strreset_flags);
		for (size_t i = 0; i < count; i++)
			printf(" %u", said->strreset_stream_list[i]);
		printf("\n");
		break;
	}
	case SCTP_ASSOC_RESET_EVENT:
		printf("tsns %u\n", ((const struct sctp_assoc_reset_event *)notice)->assocreset_flags);
		break;
	case SCTP_STREAM_CHANGE_EVENT: {
		const struct sctp_stream_change_event *said = (const void *)notice;
		printf("streams %u: %u in, %u out\n", said->strchange_flags, said->strchange_instrms,
		       said->strchange_outstrms);
		break;
	}
	}
}

static void *read_all(void *nothing)
{
	/* A message may come in parts, and parts of several streams in turn. */
	static struct { char *bytes; size_t len; } part[STREAMS];
	char *buffer = malloc(LONGEST);
	for (;;) {
		struct sctp_rcvinfo info = {0};
		int flags;
		ssize_t len = receive(buffer, &info, &flags);
		if (len <= 0) {
			if (len < 0)
				printf("closed: %s\n", strerror(errno));
			else
				printf("closed\n");
			return nothing;
		}
		if (flags & MSG_NOTIFICATION) {
			tell((void *)buffer, len);
			continue;
		}
		unsigned stream = info.rcv_sid, number = ntohl(info.rcv_ppid) & ~PPID;
		if (stream >= STREAMS) {
			printf("bad stream %u\n", stream);
			continue;
		}
		part[stream].bytes = realloc(part[stream].bytes, part[stream].len + len);
		memcpy(part[stream].bytes + part[stream].len, buffer, len);
		part[stream].len += len;
		if (!(flags & MSG_EOR))
			continue;
		int bad = 0;
		for (size_t i = 0; i < part[stream].len; i++)
			bad |= (uint8_t)part[stream].bytes[i] != (uint8_t)(number + i);
		printf("got %u %u %u %zu%s%s\n", stream, info.rcv_ssn, number, part[stream].len,
		       info.rcv_flags & SCTP_UNORDERED ? " unordered" : "", bad ? " bad" : "");
		part[stream].len = 0;
	}
}

static void begin_reading(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, read_all, NULL);
}

/* send STREAM FIRST COUNT SIZE [unordered] [now] [ttl MS] [rtx N] [prio P] [key N] */
static void send_messages(char **word)
{
	static uint8_t data[LONGEST];
	struct sctp_sendv_spa spa = {.sendv_flags = SCTP_SEND_SNDINFO_VALID};
	unsigned first = atoi(word[1]), count = atoi(word[2]), size = atoi(word[3]);
	spa.sendv_sndinfo.snd_sid = atoi(word[0]);
	for (char **more = word + 4; *more; more++) {
		if (!strcmp(*more, "unordered")) {
			spa.sendv_sndinfo.snd_flags |= SCTP_UNORDERED;
			continue;
		}
		if (!strcmp(*more, "now")) {
			spa.sendv_sndinfo.snd_flags |= SCTP_SACK_IMMEDIATELY;
			continue;
		}
		if (!strcmp(*more, "key")) {
			spa.sendv_flags |= SCTP_SEND_AUTHINFO_VALID;
			spa.sendv_authinfo.auth_keynumber = atoi(*++more);
			continue;
		}
		spa.sendv_flags |= SCTP_SEND_PRINFO_VALID;
		if (!strcmp(*more, "ttl"))
			spa.sendv_prinfo.pr_policy = SCTP_PR_SCTP_TTL;
		else if (!strcmp(*more, "rtx"))
			spa.sendv_prinfo.pr_policy = SCTP_PR_SCTP_RTX;
		else
#ifdef USRSCTP
			spa.sendv_prinfo.pr_policy = SCTP_PR_SCTP_BUF;
#else
			spa.sendv_prinfo.pr_policy = SCTP_PR_SCTP_PRIO;
#endif
		spa.sendv_prinfo.pr_value = atoi(*++more);
	}
	for (unsigned n = first; n < first + count; n++) {
		for (unsigned i = 0; i < size; i++)
			data[i] = n + i;
		spa.sendv_sndinfo.snd_ppid = htonl(PPID | n);
		if (send_message(data, size, &spa) != (ssize_t)size)
			fail("send");
	}
}

static void wait_for_one(char **word)
{
	for (int i = 1; word[i]; i++) {
		struct sockaddr_in address = at(word[i], word[0]);
		if (i > 1)
			bind_more(&address, 1);
		else if (ISSUE(bind)(sock, (void *)&address, sizeof address) < 0)
			fail("bind");
	}
	if (ISSUE(listen)(sock, 1) < 0)
		fail("listen");
	printf("listening\n");
#ifdef USRSCTP
	struct socket *accepted = usrsctp_accept(sock, NULL, NULL);
	if (!accepted)
		fail("accept");
#else
	int accepted = accept(sock, NULL, NULL);
	if (accepted < 0)
		fail("accept");
#endif
	sock = accepted;
	printf("accepted\n");
	begin_reading();
}

/* reset in|out|both [STREAM]...; none is all. */
static void reset(char **word)
{
	char room[sizeof(struct sctp_reset_streams) + STREAMS * sizeof(uint16_t)] = {0};
	struct sctp_reset_streams *asked = (void *)room;
	if (strcmp(word[0], "in"))
		asked->srs_flags |= SCTP_STREAM_RESET_OUTGOING;
	if (strcmp(word[0], "out"))
		asked->srs_flags |= SCTP_STREAM_RESET_INCOMING;
	while (word[1 + asked->srs_number_streams]) {
		asked->srs_stream_list[asked->srs_number_streams] = atoi(word[1 + asked->srs_number_streams]);
		asked->srs_number_streams++;
	}
	request("reset", SCTP_RESET_STREAMS, room,
		sizeof *asked + asked->srs_number_streams * sizeof(uint16_t));
}

static void key(char **word)
{
	char room[sizeof(struct sctp_authkey) + 100] = {0};
	struct sctp_authkey *key = (void *)room;
	key->sca_keynumber = atoi(word[0]);
	key->sca_keylength = strlen(word[1]);
	memcpy(key->sca_key, word[1], key->sca_keylength);
	set("key", SCTP_AUTH_KEY, room, sizeof *key + key->sca_keylength);
}

static void obey(char **word)
{
	const char *what = word[0];
	word++;
	if (!strcmp(what, "serve")) {
		wait_for_one(word);
	} else if (!strcmp(what, "connect")) {
		struct sockaddr_in address = at(word[0], word[1]);
		if (ISSUE(connect)(sock, (void *)&address, sizeof address) < 0)
			fail("connect");
		printf("connected\n");
		begin_reading();
	} else if (!strcmp(what, "send")) {
		send_messages(word);
	} else if (!strcmp(what, "bind") || !strcmp(what, "add-address") ||
		   !strcmp(what, "remove-address")) {
		struct sockaddr_in address = at(word[0], word[1]);
		if (!strcmp(what, "bind")) {
			if (ISSUE(bind)(sock, (void *)&address, sizeof address) < 0)
				fail("bind");
		} else {
			bind_more(&address, !strcmp(what, "add-address"));
		}
	} else if (!strcmp(what, "prefer")) {
		struct sctp_setpeerprim primary = {0};
		struct sockaddr_in address = at(word[0], word[1]);
		memcpy(&primary.sspp_addr, &address, sizeof address);
		set(what, SCTP_SET_PEER_PRIMARY_ADDR, &primary, sizeof primary);
	} else if (!strcmp(what, "reset")) {
		reset(word);
	} else if (!strcmp(what, "reset-tsns")) {
		sctp_assoc_t own = 0;
		request(what, SCTP_RESET_ASSOC, &own, sizeof own);
	} else if (!strcmp(what, "add-streams")) {
		struct sctp_add_streams more = {.sas_outstrms = atoi(word[0]), .sas_instrms = atoi(word[1])};
		request(what, SCTP_ADD_STREAMS, &more, sizeof more);
	} else if (!strcmp(what, "grant")) {
		set_value(what, SCTP_ENABLE_STREAM_RESET, atoi(word[0]));
	} else if (!strcmp(what, "interleave")) {
		uint32_t level = 2;
		set(what, SCTP_FRAGMENT_INTERLEAVE, &level, sizeof level);
		set_value(what, SCTP_INTERLEAVING_SUPPORTED, 1);
	} else if (!strcmp(what, "round-robin")) {
#ifdef USRSCTP
		set_value(what, SCTP_PLUGGABLE_SS, SCTP_SS_ROUND_ROBIN);
#else
		set_value(what, SCTP_STREAM_SCHEDULER, SCTP_SS_RR);
#endif
	} else if (!strcmp(what, "key")) {
		key(word);
	} else if (!strcmp(what, "active-key")) {
		struct sctp_authkeyid id = {.scact_keynumber = atoi(word[0])};
		set(what, SCTP_AUTH_ACTIVE_KEY, &id, sizeof id);
	} else if (!strcmp(what, "signed-chunk")) {
		struct sctp_authchunk chunk = {.sauth_chunk = atoi(word[0])};
		set(what, SCTP_AUTH_CHUNK, &chunk, sizeof chunk);
	} else if (!strcmp(what, "sack")) {
		struct sctp_sack_info sack = {.sack_delay = atoi(word[0]), .sack_freq = atoi(word[1])};
		set(what, SCTP_DELAYED_SACK, &sack, sizeof sack);
	} else if (!strcmp(what, "shutdown")) {
		if (ISSUE(shutdown)(sock, SHUT_WR) < 0)
			fail(what);
	} else {
		printf("unknown: %s\n", what);
		exit(1);
	}
}

static void want_events(void)
{
	static const uint16_t all[] = {
		SCTP_ASSOC_CHANGE, SCTP_PEER_ADDR_CHANGE, SCTP_REMOTE_ERROR, SCTP_SEND_FAILED_EVENT,
		SCTP_SHUTDOWN_EVENT, SCTP_AUTHENTICATION_EVENT, SCTP_SENDER_DRY_EVENT,
		SCTP_STREAM_RESET_EVENT, SCTP_ASSOC_RESET_EVENT, SCTP_STREAM_CHANGE_EVENT,
	};
	int on = 1;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct sctp_event event = {.se_type = all[i], .se_on = 1};
		set("event", SCTP_EVENT, &event, sizeof event);
	}
	set("rcvinfo", SCTP_RECVRCVINFO, &on, sizeof on);
	set("nodelay", SCTP_NODELAY, &on, sizeof on);
}

#ifdef USRSCTP
/* usrsctp has these for all of a process: peer [NAME=VALUE]... */
static void configure(char **word)
{
	uint16_t udp = 0;
	for (char **more = word; *more; more++)
		if (!strncmp(*more, "udp=", 4))
			udp = atoi(*more + 4);
	usrsctp_init(udp, NULL, NULL);
	usrsctp_sysctl_set_sctp_ecn_enable(1);
	usrsctp_sysctl_set_sctp_no_csum_on_loopback(0);
	for (; *word; word++) {
		unsigned value = atoi(strchr(*word, '=') + 1);
#define NAMED(name, call) else if (!strncmp(*word, name "=", sizeof name)) usrsctp_sysctl_set_##call(value)
		if (!strncmp(*word, "udp=", 4))
			continue;
		NAMED("auth", sctp_auth_enable);
		NAMED("asconf", sctp_asconf_enable);
		NAMED("reconfig", sctp_reconfig_enable);
		NAMED("pr", sctp_pr_enable);
		NAMED("rto_min", sctp_rto_min_default);
		NAMED("rto_initial", sctp_rto_initial_default);
		NAMED("rto_max", sctp_rto_max_default);
		NAMED("heartbeat", sctp_heartbeat_interval_default);
		else {
			printf("unknown: %s\n", *word);
			exit(1);
		}
	}
}
#endif

int main(int count, char **args)
{
	char line[1000];
	setvbuf(stdout, NULL, _IOLBF, 0);
#ifdef USRSCTP
	configure(args + 1);
	sock = usrsctp_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
	if (!sock)
		fail("socket");
	for (char **word = args + 1; *word; word++)
		if (!strncmp(*word, "udp=", 4)) {
			struct sctp_udpencaps encaps = {.sue_port = htons(atoi(*word + 4))};
			set("encaps", SCTP_REMOTE_UDP_ENCAPS_PORT, &encaps, sizeof encaps);
		}
#else
	sock = socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
	if (sock < 0)
		fail("socket");
	(void)args;
#endif
	(void)count;
	want_events();
	printf("ready\n");
	while (fgets(line, sizeof line, stdin)) {
		char *words[40] = {0};
		int n = 0;
		for (char *word = strtok(line, " \n"); word && n < 39; word = strtok(NULL, " \n"))
			words[n++] = word;
		if (n > 0 && !strcmp(words[0], "bye"))
			break;
		if (n > 0)
			obey(words);
	}
	printf("done\n");
	/* What is under way is cut off with the process: usrsctp's threads don't end. */
	_exit(0);
}
