# Sidekiq: a process that runs jobs, later and again after errors.

require_relative "support"
require "sidekiq/api"

URL = { url: "redis://127.0.0.1:#{PORT}/1" }.freeze
Sidekiq.logger.level = Logger::FATAL
Sidekiq.configure_client { |config| config.redis = URL }

# The process loads this file, too.
class Paint
  include Sidekiq::Worker
  sidekiq_options retry: 3
  sidekiq_retry_in { 1 }

  def perform(colour, failures = 0)
    Sidekiq.redis do |redis|
      tries = redis.hincrby("tries", colour, 1)
      raise "no #{colour}" if tries <= failures
      redis.rpush("done", colour)
    end
  end
end

class Draw < Paint
  sidekiq_options queue: "other", retry: false
end

if Sidekiq.server?
  Sidekiq.options[:poll_interval_average] = 0.2
  Sidekiq.configure_server { |config| config.redis = URL }
  return
end

DONE = Redis.new(port: PORT, db: 1)

# Runs a block while there is a process, which must end well.
def with_process
  process = spawn("sidekiq", "-r", File.expand_path(__FILE__), "-c", "4", "-q", "default", "-q", "other", "-t", "5",
                  out: "/dev/null")
  yield
  Process.kill("TERM", process)
  yes Process.wait2(process)[1].success?
end

test "jobs" do
  100.times { |n| Paint.perform_async("colour #{n}") }
  Sidekiq::Client.push_bulk("class" => Draw, "args" => 100.times.map { |n| ["line #{n}"] })
  same [Sidekiq::Queue.new.size, Sidekiq::Queue.new("other").size], [100, 100]
  same Sidekiq::Queue.new.first.args, ["colour 99"]
  Paint.perform_in(1, "late")
  same Sidekiq::ScheduledSet.new.map(&:args), [["late"]]
  with_process do
    eventually(60) { DONE.llen("done") == 201 }
    same DONE.lrange("done", 0, -1).uniq.size, 201
    same DONE.lindex("done", -1), "late"
    same Sidekiq::ProcessSet.new.size, 1
    Paint.perform_async("again", 2)
    eventually(60) { DONE.lindex("done", -1) == "again" }
    same DONE.hget("tries", "again"), "3"
    Draw.perform_async("never", 100)
    eventually { DONE.hexists("tries", "never") }
  end
  stats = Sidekiq::Stats.new
  same [stats.failed, stats.enqueued, stats.retry_size, stats.scheduled_size], [3, 0, 0, 0]
end
