# What the programs' tests share. `run` gives the port of the server in `PORT`.

require "redis"

PORT = Integer(ENV.fetch("PORT"))

# A client to look at what a program has stored.
PLAIN = Redis.new(port: PORT)

# Runs a test that begins with an empty server.
def test(name)
  PLAIN.flushall
  yield
rescue StandardError, ScriptError => error
  abort "#{name}: #{error.full_message(highlight: false)}"
end

def same(got, wanted)
  got == wanted or raise "#{got.inspect} instead of #{wanted.inspect}"
end

def yes(got)
  got or raise "#{got.inspect} is not true"
end

# Waits until the block returns something true.
def eventually(seconds = 20)
  ends = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
  until yield
    Process.clock_gettime(Process::CLOCK_MONOTONIC) < ends or raise "it does not happen within #{seconds} s"
    sleep 0.01
  end
end

# Expects the error of a command that does not exist here.
def lacks(command)
  yield
  raise "#{command} is there"
rescue Redis::CommandError => error
  yes error.message.include?("unknown command '#{command}'")
end
