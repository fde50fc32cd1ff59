// Settles and awaits a promise by fetch: node client.mjs URL ID
const [url, promiseId] = process.argv.slice(2);

async function call(operation, more = {}) {
  const response = await fetch(`${url}/promise/${operation}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ promiseId, ...more }),
  });
  const kind = response.headers.get("content-type");
  return [response.status, kind, await response.json()];
}

const print = (...what) => console.log(JSON.stringify(what));

print("peek", ...(await call("peek")));
const waiting = call("await");
print("resolve", ...(await call("resolve", { value: { greeting: "☃" } })));
print("await", ...(await waiting));
print("reject", ...(await call("reject", { errorMessage: "too late" })));
print("peek", ...(await call("peek")));
