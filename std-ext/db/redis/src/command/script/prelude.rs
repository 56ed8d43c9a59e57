//! Functions of the sandbox that are written in Lua, because an error passes through them as it is.

/// Gets functions of Rust and of Lua, and returns those that scripts see.
///
/// `convert` returns the value of an error that was caught, and raises again the error that ends a script. `check` only
/// does the latter.
pub(super) const PRELUDE: &str = r"
local convert, check, pcall, xpcall, resume, type = ...

local function after_pcall(ok, found, ...)
  if ok then return ok, found, ... end
  found = convert(found)
  if type(found) == 'table' then
    local text = found.err
    if type(text) == 'string' or type(text) == 'number' then found = text end
  end
  return false, found
end

local function after_xpcall(ok, ...)
  if not ok then check() end
  return ok, ...
end

local function after_resume(ok, found, ...)
  if ok then return ok, found, ... end
  return false, convert(found)
end

return function(...) return after_pcall(pcall(...)) end,
  function(run, handler)
    return after_xpcall(xpcall(run, function(found) return handler(convert(found)) end))
  end,
  function(...) return after_resume(resume(...)) end
";
