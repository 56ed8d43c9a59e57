<?php
// What the programs' tests share. `run` gives the port of the server in `PORT`.

const HOST = '127.0.0.1';
define('PORT', (int) getenv('PORT'));

set_error_handler(function ($level, $text, $file, $line) {
    if (error_reporting() & $level) {
        throw new ErrorException($text, 0, $level, $file, $line);
    }
}, E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);

// A client, for example to look at what a program has stored.
function client(): Redis
{
    $redis = new Redis();
    $redis->connect(HOST, PORT);
    return $redis;
}

// Runs a test that begins with an empty server.
function test(string $name, callable $test): void
{
    client()->flushAll();
    try {
        $test();
    } catch (Throwable $error) {
        fwrite(STDERR, "$name: $error\n");
        exit(1);
    }
}

function same($got, $wanted): void
{
    if ($got !== $wanted) {
        throw new Exception(var_export($got, true) . ' instead of ' . var_export($wanted, true));
    }
}

// Waits until a function returns something true.
function eventually(callable $what, float $seconds = 20): void
{
    for ($end = microtime(true) + $seconds; !$what(); usleep(10_000)) {
        if (microtime(true) > $end) {
            throw new Exception("it does not happen within $seconds s");
        }
    }
}
