# redis-rb, the client behind most programs in Ruby.

require_relative "support"

redis = Redis.new(url: "redis://127.0.0.1:#{PORT}/1")

test "values" do
  same redis.set("a", "1", ex: 100), "OK"
  same redis.set("a", "2", nx: true), false
  yes (90..100).cover?(redis.ttl("a"))
  same redis.incrby("a", 41), 42
  same redis.mapped_mget("a", "none"), { "a" => "42", "none" => nil }
  same redis.mapped_mset("b" => "x", "c" => "y"), "OK"
  same redis.scan_each(match: "?").to_a.sort, %w[a b c]
  same redis.getdel("b"), "x"
  redis.set("short", "1", px: 20)
  eventually { redis.get("short").nil? }
  same PLAIN.dbsize, 0
end

test "pipelines and transactions" do
  same redis.pipelined { |them| them.set("n", 1); them.incr("n"); them.get("n") }, ["OK", 2, "2"]
  same redis.multi { |them| them.incr("n"); them.expire("n", 100) }, [3, true]
  raced = redis.watch("n") do
    PLAIN.select(1)
    PLAIN.set("n", "other")
    PLAIN.select(0)
    redis.multi { |them| them.set("n", "mine") }
  end
  same [raced, redis.get("n")], [nil, "other"]
end

test "scripts" do
  script = "return redis.call('incrby', KEYS[1], ARGV[1])"
  same redis.eval(script, keys: ["n"], argv: [5]), 5
  sha = redis.script(:load, script)
  same redis.evalsha(sha, keys: ["n"], argv: [2]), 7
end

test "messages" do
  got = []
  listener = Thread.new do
    Redis.new(port: PORT).psubscribe("news.*") do |on|
      on.pmessage do |_, channel, message|
        got << [channel, message]
        Thread.current.exit if message == "end"
      end
    end
  end
  eventually { PLAIN.publish("news.a", "one") == 1 }
  PLAIN.publish("news.b", "end")
  yes listener.join(20)
  same got.last(2), [%w[news.a one], %w[news.b end]]
end

test "lists, sets and sorted sets" do
  same redis.rpush("l", %w[a b c]), 3
  same redis.lrange("l", 0, -1), %w[a b c]
  same redis.lmove("l", "other", "LEFT", "RIGHT"), "a"
  same redis.blpop("none", "l", timeout: 1), %w[l b]
  waiting = Thread.new { Redis.new(url: "redis://127.0.0.1:#{PORT}/1").brpop("queue", timeout: 20) }
  eventually { redis.info("clients")["blocked_clients"] == "1" }
  redis.lpush("queue", "item")
  same waiting.value, %w[queue item]
  same redis.sadd("s", %w[x y z]), 3
  same redis.smembers("s").sort, %w[x y z]
  same redis.sscan_each("s", match: "x").to_a, %w[x]
  same redis.sdiff("s", "none").size, 3
  same redis.zadd("z", [[1, "a"], [2.5, "b"]]), 2
  same redis.zincrby("z", 3, "a"), 4.0
  same redis.zrange("z", 0, -1, with_scores: true), [["b", 2.5], ["a", 4.0]]
  same redis.zrangebyscore("z", "(2.5", "+inf", limit: [0, 1]), %w[a]
  same redis.zpopmin("z"), ["b", 2.5]
  same redis.sort("s", order: "desc alpha", limit: [0, 2]), %w[z y]
end

test "what is missing" do
  lacks("lolwut") { redis.call("lolwut") }
end
