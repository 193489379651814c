-- With an argument, each request asks for the address with a number behind it: 1 to the argument, in turn.
init = function(args)
  local most, number, path = tonumber(args[1]), 0, wrk.path
  if most then
    request = function()
      number = number % most + 1
      return wrk.format(nil, path .. number)
    end
  end
end

-- What wrk measured, as one line of JSON; times in microseconds.
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "microseconds": %d, "p50": %.0f, "p99": %.0f, "errors": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
