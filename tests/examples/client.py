import socket, struct, sys

port, name, password = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3].encode()
stream = socket.create_connection(("127.0.0.1", port)).makefile("rwb")

def send(kind, payload=b""):
    stream.write(struct.pack(">IB", 1 + len(payload), kind) + payload)
    stream.flush()

def receive(kind):
    body = stream.read(int.from_bytes(stream.read(4), "big"))
    if not body or body[0] != kind:
        sys.exit(f"refused: {body[3:].decode()}" if body else "the server has closed")
    return body[1:]

receive(0x81)                                   # Hello
send(0x01, name)                                # Identify
if receive(0x82) == b"\0":                      # PasswordWanted: 0 = the name is new
    send(0x02, password)                        # Register
    receive(0x82)                               # PasswordWanted: now log in
send(0x03, password)                            # Login
token = receive(0x83)[:16]                      # Welcome
send(0x05, token + "hello, porter".encode())    # Message
answer = receive(0x84)                          # Message: sender's length, sender, text
print(answer[1 + answer[0]:].decode())
send(0x06)                                      # Exit
receive(0x85)                                   # Bye
