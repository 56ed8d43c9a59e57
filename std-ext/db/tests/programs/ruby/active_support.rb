# ActiveSupport's RedisCacheStore: the cache of Rails.

require_relative "support"
require "active_support"
require "active_support/cache"
require "active_support/cache/redis_cache_store"
require "active_support/core_ext/numeric/time"

# Errors are swallowed by default: a cache that answers nothing would look empty.
raises = ->(method:, returning:, exception:) { raise exception }
cache = ActiveSupport::Cache::RedisCacheStore.new(
  url: "redis://127.0.0.1:#{PORT}/0", namespace: "rails", error_handler: raises
)

test "values" do
  yes cache.write("a", { "x" => [1, 2] }, expires_in: 100.seconds)
  same cache.read("a"), { "x" => [1, 2] }
  yes (90..100).cover?(PLAIN.ttl("rails:a"))
  same cache.fetch("b", expires_in: 1.minute) { "made" }, "made"
  same cache.fetch("b") { raise "it is there" }, "made"
  same [cache.exist?("a"), cache.exist?("none")], [true, false]
  yes cache.write("once", 1, unless_exist: true)
  same cache.write("once", 2, unless_exist: true), false
  yes cache.delete("a")
  same cache.read("a"), nil
  long = "rose " * 10_000
  cache.write("long", long)
  same cache.read("long"), long
  yes PLAIN.strlen("rails:long") < long.length
  cache.write("short", 1, expires_in: 0.05)
  eventually { cache.read("short").nil? }
  # It stays for a while, so that one process makes it anew while others read the old one.
  cache.write("race", 1, expires_in: 0.05, race_condition_ttl: 10)
  sleep 0.06
  seen = cache.fetch("race", race_condition_ttl: 10, expires_in: 10) { cache.read("race") }
  same seen, 1
end

test "counters" do
  same cache.increment("hits", 2, expires_in: 100), 2
  same [cache.increment("hits"), cache.decrement("hits", 2)], [3, 1]
  yes (90..100).cover?(PLAIN.ttl("rails:hits"))
end

test "many keys" do
  cache.write_multi({ "a" => 1, "b" => "two" }, expires_in: 100)
  same cache.read_multi("a", "b", "none"), { "a" => 1, "b" => "two" }
  same cache.fetch_multi("b", "c") { |name| name * 2 }, { "b" => "two", "c" => "cc" }
  same cache.delete_multi(%w[a none]), 1
  PLAIN.set("others", 1)
  cache.delete_matched("b*")
  same [cache.read("b"), cache.read("c")], [nil, "cc"]
  cache.clear
  same PLAIN.keys, ["others"]
end
