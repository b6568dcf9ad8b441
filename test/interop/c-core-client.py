# gRPC C-core as a client of the mesh: reads {"target", "metadata", "count", "timeout"} lines, answers with a list of results.
import json
import sys

import grpc

channels = {}
for line in sys.stdin:
    ask = json.loads(line)
    channel = channels.setdefault(ask["target"], grpc.insecure_channel(ask["target"]))
    call = channel.unary_unary("/test.Echo/Echo", request_serializer=None, response_deserializer=None)
    results = []
    for _ in range(ask.get("count", 1)):
        try:
            answer = call(b"{}", metadata=[tuple(pair) for pair in ask.get("metadata", [])], timeout=ask.get("timeout", 10), wait_for_ready=False)
            results.append({"code": 0, "instance": json.loads(answer)["instance"]})
        except grpc.RpcError as error:
            results.append({"code": error.code().value[0], "details": error.details()})
    print(json.dumps(results), flush=True)
