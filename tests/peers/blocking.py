"""What one writes first: blocking sockets, a thread for each connection, passwords as MD5.

It speaks porter's frames, as far as a known user needs them who logs in, has messages echoed and leaves:

    python3 blocking.py NAME PASSWORD_MD5_HEX

Its first line is `listening on ADDR:PORT`; it serves until it is killed.
"""
import hashlib, secrets, socket, struct, sys, threading

IDENTIFY, LOGIN, MESSAGE, EXIT = 0x01, 0x03, 0x05, 0x06
HELLO, PASSWORD_WANTED, WELCOME, ECHO, BYE, ERROR = 0x81, 0x82, 0x83, 0x84, 0x85, 0x8F
WRONG_PASSWORD, MALFORMED, UNEXPECTED_FRAME, BAD_TOKEN = 4, 100, 102, 103

users = {sys.argv[1]: sys.argv[2]}


def receive(stream):
    header = stream.read(4)
    if len(header) < 4:
        return None, b""
    body = stream.read(struct.unpack(">I", header)[0])
    return body[0], body[1:]


def send(connection, kind, payload=b""):
    connection.sendall(struct.pack(">IB", 1 + len(payload), kind) + payload)


def refuse(connection, code):
    send(connection, ERROR, struct.pack(">H", code))


def converse(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream, name, token = connection.makefile("rb"), None, None
    send(connection, HELLO, b"\x01")
    while True:
        kind, payload = receive(stream)
        if kind is None:
            return
        if kind == MESSAGE and token:
            if not secrets.compare_digest(payload[:16], token):
                return refuse(connection, BAD_TOKEN)
            payload[16:].decode()
            send(connection, ECHO, b"\x00" + payload[16:])
        elif kind == IDENTIFY and not token:
            name = payload.decode()
            send(connection, PASSWORD_WANTED, b"\x01")
        elif kind == LOGIN and name and not token:
            if hashlib.md5(payload).hexdigest() == users.get(name):
                token = secrets.token_bytes(16)
                send(connection, WELCOME, token + b"Hello, " + name.encode())
            else:
                refuse(connection, WRONG_PASSWORD)
        elif kind == EXIT:
            return send(connection, BYE, b"bye")
        else:
            return refuse(connection, UNEXPECTED_FRAME)


def serve(connection):
    with connection:
        try:
            converse(connection)
        except UnicodeDecodeError:
            refuse(connection, MALFORMED)
        except OSError:
            pass


listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
