-- Counts what wrk itself does not say: requests issued, and responses by status.
-- wrk asks for a connection's next batch, and writes it, only when the last one was answered in full; at its end it
-- stops reading at once. So issued - answered is what was under way then: at most connections * pipeline.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  pipeline = tonumber(args[1]) or 1
  issued = 0
  answered = 0
  statuses = {}
  local one = wrk.format()
  batch = string.rep(one, pipeline)
end

function request()
  issued = issued + pipeline
  return batch
end

function response(status)
  answered = answered + 1
  statuses[status] = (statuses[status] or 0) + 1
end

function done(summary, latency)
  local issued, answered, statuses = 0, 0, {}
  for _, thread in ipairs(threads) do
    issued = issued + thread:get("issued")
    answered = answered + thread:get("answered")
    for status, count in pairs(thread:get("statuses")) do
      statuses[status] = (statuses[status] or 0) + count
    end
  end
  -- Before the run wrk calls `request` once, on the first thread, to see how many requests a batch has.
  issued = issued - threads[1]:get("pipeline")
  local parts = {}
  for status, count in pairs(statuses) do
    table.insert(parts, string.format('"%d": %d', status, count))
  end
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "bytes": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "issued": %d, "answered": %d, '
      .. '"connect_errors": %d, "read_errors": %d, "write_errors": %d, "timeouts": %d, "statuses": {%s}}',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99), issued, answered,
    errors.connect, errors.read, errors.write, errors.timeout, table.concat(parts, ", ")))
end
