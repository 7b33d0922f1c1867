/*
 * Two network nodes in one process talk TCP over a cable in memory.
 *
 *   cc echo.c $(pkg-config --cflags --libs sockeye) -o echo && ./echo
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sockeye.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a failed call returns is -1, and errno is as the system's call would have left it. */
static int checked(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

int main(void)
{
    int client = checked(sockeye_node_new(NULL), "node");
    int server = checked(sockeye_node_new(NULL), "node");
    checked(sockeye_link_pair(client, "eth0", "10.0.0.1/24", server, "eth0", "10.0.0.2/24", NULL),
            "link");

    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(7) };
    inet_pton(AF_INET, "10.0.0.2", &address.sin_addr);
    int listener = checked(sockeye_socket(server, AF_INET, SOCK_STREAM, 0), "socket");
    checked(sockeye_bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    checked(sockeye_listen(listener, 16), "listen");

    int stream = checked(sockeye_socket(client, AF_INET, SOCK_STREAM, 0), "socket");
    checked(sockeye_connect(stream, (struct sockaddr *)&address, sizeof address), "connect");
    int accepted = checked(sockeye_accept(listener, NULL, NULL), "accept");

    char text[64];
    checked(sockeye_send(stream, "Oncorhynchus nerka", 18, 0), "send");
    int heard = checked(sockeye_recv(accepted, text, sizeof text, 0), "recv");
    checked(sockeye_send(accepted, text, heard, 0), "send");
    int came_back = checked(sockeye_recv(stream, text, sizeof text, 0), "recv");
    printf("client: \"%.*s\" came back\n", came_back, text);

    /* The end of a node delivers what was written, and closes its sockets. */
    checked(sockeye_close(client), "close");
    checked(sockeye_close(server), "close");
    return 0;
}
