"""Sockets that are no TLS servers, and relays that make real ones slow or narrow: misbehave.py CONFIG.json

Habits: `silent`, `closes`, `resets`, `garbage`, `alert` (a fatal TLS alert for every record), `tarpit` (one byte of a
handshake record every two seconds), `trickle` (a greeting of one byte every two seconds), `ssh`, `http`.
Relays (`to` a port): `slow` holds every answer 300 ms, `two` turns away whoever comes third, `cut` ends after the ServerHello.
"""
import asyncio
import json
import os
import sys

SECONDS = 60
ANSWER_DELAY = 0.3
BYTE_DELAY = 2
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 11\r\nConnection: close\r\n\r\nBad Request"


async def silent(reader, writer, given):
    while await reader.read(4096):
        pass


async def closes(reader, writer, given):
    return


async def resets(reader, writer, given):
    # SO_LINGER of zero seconds: the close is a RST.
    writer.get_extra_info("socket").setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")


async def garbage(reader, writer, given):
    await reader.read(4096)
    writer.write(b"\x01\x9b\xfe\x00" + os.urandom(512))
    await writer.drain()


async def alert(reader, writer, given):
    await reader.read(4096)
    writer.write(b"\x15\x03\x01\x00\x02\x02" + bytes([given["alert"]]))
    await writer.drain()


async def tarpit(reader, writer, given):
    await reader.read(4096)
    await drip(writer, b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(16384))


async def trickle(reader, writer, given):
    await drip(writer, b"220-" + b"x" * 16384)


async def drip(writer, data):
    for byte in data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(BYTE_DELAY)


async def ssh(reader, writer, given):
    writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    await writer.drain()
    await reader.read(4096)


async def http(reader, writer, given):
    await reader.read(4096)
    writer.write(HTTP)
    await writer.drain()


async def slow(reader, writer, given):
    await relay(reader, writer, given, ANSWER_DELAY)


async def two(reader, writer, given):
    if given["open"] >= 2:
        return
    given["open"] += 1
    try:
        await relay(reader, writer, given, 0)
    finally:
        given["open"] -= 1


async def relay(reader, writer, given, delay):
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", given["to"])

    async def pump(source, sink, wait):
        while data := await source.read(65536):
            await asyncio.sleep(wait)
            sink.write(data)
            await sink.drain()

    try:
        # Both ways until either side has ended.
        both = {asyncio.create_task(pump(reader, inner_writer, 0)), asyncio.create_task(pump(inner_reader, writer, delay))}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for pumping in both:
            pumping.cancel()
    finally:
        inner_writer.close()


def handler(given):
    habit = globals()[given["habit"]]
    given["open"] = 0

    async def handle(reader, writer):
        try:
            await asyncio.wait_for(habit(reader, writer, given), SECONDS)
        except (OSError, asyncio.TimeoutError):
            pass
        finally:
            writer.close()

    return handle


async def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        servers = [await asyncio.start_server(handler(given), "127.0.0.1", given["port"]) for given in json.load(file)]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main())
