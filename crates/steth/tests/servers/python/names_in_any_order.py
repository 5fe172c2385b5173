"""DNS over TCP that answers as soon as it knows: `N.test` after N milliseconds, whoever asked before (RFC 7766, 6.2.1.1).

Usage: names_in_any_order.py PORT
"""

import asyncio
import sys


async def answer(message, writer):
    end = message.index(b"\0", 12) + 5
    await asyncio.sleep(int(message[13 : 13 + message[12]]) / 1000)
    # A response with one question and no record.
    answer = message[:2] + b"\x81\x80\0\1\0\0\0\0\0\0" + message[12:end]
    writer.write(len(answer).to_bytes(2, "big") + answer)


async def serve(reader, writer):
    answers = []
    try:
        while True:
            length = int.from_bytes(await reader.readexactly(2), "big")
            answers.append(asyncio.create_task(answer(await reader.readexactly(length), writer)))
    except asyncio.IncompleteReadError:
        await asyncio.gather(*answers)
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    async with server:
        await server.serve_forever()


asyncio.run(main())
