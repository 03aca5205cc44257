-- SPDX-License-Identifier: BSD-3-Clause
-- wrk's request: METHOD, TOKEN and BODY come from the environment.
wrk.method = os.getenv("METHOD")
wrk.body = os.getenv("BODY")
wrk.headers["Authorization"] = "Token " .. os.getenv("TOKEN")
wrk.headers["Content-Type"] = "application/json"
