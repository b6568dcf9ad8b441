# gRPC C-core as a plain backend: prints its port, answers /test.Echo/Echo with its name.
import json
import sys
import time
from concurrent import futures

import grpc

instance = sys.argv[1]


def echo(request, context):
    return json.dumps({"instance": instance, "metadata": dict(context.invocation_metadata())}).encode()


server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
sys.stdin.readline()
print(json.dumps({"port": port}), flush=True)
while True:
    time.sleep(3600)
