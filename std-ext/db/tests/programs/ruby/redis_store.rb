# redis-store, behind the sessions and caches of redis-rack and redis-rails.

require_relative "support"
require "redis-store"

test "marshalled values" do
  store = Redis::Store::Factory.create("redis://127.0.0.1:#{PORT}/2/app")
  same store.set("a", { user: 7 }, expires_in: 100), "OK"
  same store.get("a"), { user: 7 }
  PLAIN.select(2)
  same PLAIN.keys, ["app:a"]
  yes (90..100).cover?(PLAIN.ttl("app:a"))
  same store.setnx("a", 1), false
  same store.setex("b", 100, [1, 2]), "OK"
  same store.mget("a", "b", "none"), [{ user: 7 }, [1, 2], nil]
  same store.del("a"), 1
  same store.get("a"), nil
  PLAIN.set("others", 1)
  store.flushdb
  same PLAIN.keys, ["others"]
  PLAIN.select(0)
end
