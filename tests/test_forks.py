"""Programs that a process starts by fork(), as another user, while it talks gRPC: none crashes before it begins."""

import os
import subprocess
import sys

STARTS = 300
"""With gRPC's own handlers of fork() dozens of so many crash."""

TALKING = f"""
import asyncio, subprocess, threading
import helios_pipeline
import grpc

async def talk(ended):
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{{port}}") as channel:
        while not ended.is_set():
            try:
                await channel.unary_unary("/of/nobody")(b"", timeout=1)
            except grpc.aio.AioRpcError:
                asked.set()
    await server.stop(0)

asked, ended = threading.Event(), threading.Event()
talking = threading.Thread(target=lambda: asyncio.run(talk(ended)))
talking.start()
assert asked.wait(30)
# Another user, though it is ourselves: Python does not use vfork(), which calls no handlers, then.
codes = [subprocess.run(["true"], user={os.geteuid()}).returncode for _ in range({STARTS})]
ended.set()
talking.join()
print(len(codes), [code for code in codes if code])
"""


def test_no_program_crashes_that_is_started_while_grpc_is_in_use():
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_ENABLE_FORK_SUPPORT"}

    done = subprocess.run([sys.executable, "-c", TALKING], env=environment, capture_output=True, text=True, timeout=300)

    assert (done.stdout, done.returncode) == (f"{STARTS} []\n", 0), done.stderr
