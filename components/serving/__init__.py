"""The HTTP service around the recognizer. No PyTorch.

A prediction passes these modules, in this order:

1. `access.proxies`, `observability.request_context`, `routing`: the caller's address, request ID, audit log;
2. `routes.dependencies`: API key, queue capacity, rate limits;
3. `routes.predict`: the route, with the body read by `schemas.requests`, `schemas.strokes`;
4. `inference.client`: the input is prepared, the cache is asked, the request goes to the batch side;
5. `inference.worker`: batches are read by `recognizer`;
6. `schemas.responses`: the response.
"""
