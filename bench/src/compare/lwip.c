/* lwIP's raw interface in one thread: two network interfaces of one stack, joined by queues of
 * packets. `lwip bulk|trips MILLISECONDS` prints bits or round trips a second. */
#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE 1024
#define PORT 7000

struct queue {
    struct pbuf *packets[QUEUE];
    unsigned head, tail;
};

static struct netif ends[2];
static struct queue queues[2]; /* what goes to that end */
static struct tcp_pcb *client, *server;
static char data[65536], out[65536];
static int bulk, connected;
static unsigned long arrived, trips;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* TCP keeps the packet for a retransmission, so the link has one of its own. */
static err_t leave(struct netif *from, struct pbuf *packet, const ip4_addr_t *to) {
    struct queue *queue = &queues[from == &ends[0] ? 1 : 0];
    struct pbuf *copy;
    (void)to;
    if (queue->tail - queue->head == QUEUE)
        return ERR_MEM;
    copy = pbuf_clone(PBUF_RAW, PBUF_RAM, packet);
    if (!copy)
        return ERR_MEM;
    queue->packets[queue->tail++ % QUEUE] = copy;
    return ERR_OK;
}

static err_t set_up(struct netif *end) {
    end->name[0] = 'm';
    end->name[1] = 'e';
    end->mtu = 1500;
    end->output = leave;
    end->flags |= NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void carry(void) {
    for (int end = 0; end < 2; end++) {
        struct queue *queue = &queues[end];
        while (queue->head != queue->tail) {
            struct pbuf *packet = queue->packets[queue->head++ % QUEUE];
            if (ends[end].input(packet, &ends[end]) != ERR_OK)
                pbuf_free(packet);
        }
    }
}

static void send_byte(struct tcp_pcb *pcb) {
    if (tcp_write(pcb, data, 1, TCP_WRITE_FLAG_COPY) != ERR_OK)
        die("a byte does not fit");
    tcp_output(pcb);
}

static err_t received(void *arg, struct tcp_pcb *pcb, struct pbuf *packet, err_t error) {
    (void)arg;
    (void)error;
    if (!packet)
        die("the stream ended");
    arrived += packet->tot_len;
    pbuf_copy_partial(packet, out, packet->tot_len, 0);
    tcp_recved(pcb, packet->tot_len);
    pbuf_free(packet);
    if (bulk)
        return ERR_OK;
    if (pcb == client)
        trips++;
    send_byte(pcb);
    return ERR_OK;
}

static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t error) {
    (void)arg;
    if (error != ERR_OK)
        return error;
    server = pcb;
    tcp_nagle_disable(pcb);
    tcp_recv(pcb, received);
    return ERR_OK;
}

static err_t is_connected(void *arg, struct tcp_pcb *pcb, err_t error) {
    (void)arg;
    (void)pcb;
    connected = 1;
    return error;
}

static void fill(void) {
    u16_t room;
    while ((room = tcp_sndbuf(client)) > 0)
        if (tcp_write(client, data, room, TCP_WRITE_FLAG_COPY) != ERR_OK)
            break;
    tcp_output(client);
}

int main(int count, char **words) {
    struct tcp_pcb *listener;
    ip4_addr_t address[2], mask;
    ip_addr_t to;
    double start, end, length;
    if (count != 3)
        die("lwip bulk|trips MILLISECONDS");
    bulk = !strcmp(words[1], "bulk");
    length = atof(words[2]) / 1e3;
    lwip_init();
    IP4_ADDR(&mask, 255, 255, 255, 0);
    for (int i = 0; i < 2; i++) {
        IP4_ADDR(&address[i], 192, 0, 2, i + 1);
        netif_add(&ends[i], &address[i], &mask, NULL, NULL, set_up, ip_input);
        netif_set_up(&ends[i]);
    }
    listener = tcp_new();
    tcp_bind_netif(listener, &ends[1]);
    if (tcp_bind(listener, IP_ANY_TYPE, PORT) != ERR_OK || !(listener = tcp_listen(listener)))
        die("it does not listen");
    tcp_accept(listener, accepted);
    client = tcp_new();
    tcp_bind_netif(client, &ends[0]);
    ip_addr_copy_from_ip4(to, address[0]);
    if (tcp_bind(client, &to, 0) != ERR_OK)
        die("it does not bind");
    tcp_nagle_disable(client);
    tcp_recv(client, received);
    ip_addr_copy_from_ip4(to, address[1]);
    if (tcp_connect(client, &to, PORT, is_connected) != ERR_OK)
        die("it does not connect");
    start = now();
    while (!connected || !server) {
        carry();
        sys_check_timeouts();
        if (now() - start > 5)
            die("no connection within 5 s");
    }
    if (!bulk)
        send_byte(client);
    start = now();
    arrived = trips = 0;
    do {
        for (int i = 0; i < 64; i++) {
            if (bulk)
                fill();
            carry();
        }
        sys_check_timeouts();
        end = now();
    } while (end - start < length);
    if (!arrived)
        die("nothing arrived");
    printf("%f\n", (bulk ? arrived * 8.0 : trips) / (end - start));
    return 0;
}
