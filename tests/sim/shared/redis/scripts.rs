//! Scripts: Lua 5.1, as Redis runs it. <https://redis.io/docs/latest/develop/interact/programmability/lua-api>

use super::commands;
use super::data::Data;
use super::reply::Reply;
use mlua::{Function, Lua, Table, Value as LuaValue, Variadic};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

pub(super) struct Scripts {
    lua: Lua,
    compiled: HashMap<String, Function>,
}

impl Scripts {
    pub(super) fn new(data: Rc<RefCell<Data>>) -> Scripts {
        let lua = Lua::new();
        let call = lua.create_function(move |lua, arguments: Variadic<LuaValue>| {
            let words: Vec<String> = arguments.iter().map(word).collect();
            // The data are not borrowed while a script goes on.
            let reply = commands::run(&mut data.borrow_mut(), &words);
            to_lua(lua, &reply)
        });
        let error_reply = lua.create_function(|lua, text: String| {
            let reply = lua.create_table()?;
            reply.set("err", text)?;
            Ok(reply)
        });
        let redis = lua.create_table().unwrap();
        let call = call.unwrap();
        // Nothing is refused here.
        redis.set("pcall", call.clone()).unwrap();
        redis.set("call", call).unwrap();
        redis.set("error_reply", error_reply.unwrap()).unwrap();
        lua.globals().set("redis", redis).unwrap();
        Scripts { lua, compiled: HashMap::new() }
    }

    pub(super) fn eval(&mut self, text: &str, keys: &[String], arguments: &[String]) -> Reply {
        let globals = self.lua.globals();
        globals.set("KEYS", keys).unwrap();
        globals.set("ARGV", arguments).unwrap();
        if !self.compiled.contains_key(text) {
            let function = self.lua.load(text).into_function().unwrap();
            self.compiled.insert(text.to_owned(), function);
        }
        let result: LuaValue =
            self.compiled[text].call(()).unwrap_or_else(|error| panic!("{error} in {text}"));
        from_lua(&result)
    }
}

/// An argument of a command: a text, or a number.
fn word(value: &LuaValue) -> String {
    match value {
        LuaValue::String(text) => text.to_str().unwrap().to_owned(),
        LuaValue::Integer(number) => number.to_string(),
        LuaValue::Number(number) => number.to_string(),
        other => panic!("a command has the argument {other:?}"),
    }
}

/// What a command's reply is in a script: nothing is false.
fn to_lua(lua: &Lua, reply: &Reply) -> mlua::Result<LuaValue> {
    Ok(match reply {
        Reply::Null => LuaValue::Boolean(false),
        Reply::Number(number) => LuaValue::Number(*number as f64),
        Reply::Text(text) => LuaValue::String(lua.create_string(text)?),
        Reply::Status(text) => {
            let table = lua.create_table()?;
            table.set("ok", text.as_str())?;
            LuaValue::Table(table)
        }
        Reply::Array(members) => {
            let members: Vec<LuaValue> =
                members.iter().map(|member| to_lua(lua, member)).collect::<Result<_, _>>()?;
            LuaValue::Table(lua.create_sequence_from(members)?)
        }
        other => panic!("a script is given {other:?}"),
    })
}

/// What a script's result is as a reply: numbers lose what is behind the point, and a list ends where nothing is.
fn from_lua(value: &LuaValue) -> Reply {
    match value {
        LuaValue::Nil | LuaValue::Boolean(false) => Reply::Null,
        LuaValue::Boolean(true) => Reply::Number(1),
        LuaValue::Integer(number) => Reply::Number(*number),
        LuaValue::Number(number) => Reply::Number(*number as i64),
        LuaValue::String(text) => Reply::Text(text.to_str().unwrap().to_owned()),
        LuaValue::Table(table) => table_reply(table),
        other => panic!("a script answers {other:?}"),
    }
}

fn table_reply(table: &Table) -> Reply {
    if let Ok(text) = table.get::<String>("err") {
        return Reply::Error(text);
    }
    if let Ok(text) = table.get::<String>("ok") {
        return Reply::Status(text);
    }
    Reply::Array(table.sequence_values::<LuaValue>().map(|value| from_lua(&value.unwrap())).collect())
}
