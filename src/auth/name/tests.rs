//! Which names there are, which there are not and why, and that a name has one form.

use super::*;
use crate::auth::skeleton::skeleton;
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

fn made(text: &str) -> Result<String, String> {
    Name::new(text).map(|name| name.to_string()).map_err(|error| error.to_string())
}

#[test]
fn letters_of_any_script_are_names() {
    for text in [
        "a",
        "ann",
        "Ann.B-c_2",
        "Ægir",
        "李雷",
        "7",
        "सीता-देवी",
        "तेन्दुलकर",
        "क्\u{200d}ष",
        "தமிழ்செல்வி",
        "রবীন্দ্রনাথ",
        "সত্যজিৎ",
        "សុខា-ខ្មែរ",
        "အောင်ဆန်း",
        "สมชาย",
        "น้ำฝน",
        "ນ້ຳຝົນ",
        "ສົມສັກ",
        "김철수",
        "משה",
        "שָׁלוֹם",
        "مُحَمَّد",
        "می\u{200c}خواهم",
        "ދިވެހި",
        "Nguyễn",
        "ⵜⴰⵎⴰⵣⵉⵖⵜ",
        "カタカナ",
        "々木",
        "〇",
        &"x".repeat(32),
        &"é".repeat(32),
    ] {
        assert_eq!(made(text), Ok(text.to_owned()));
        assert_eq!(Name::stored(text).map(|name| name.to_string()), Ok(text.to_owned()));
    }
}

#[test]
fn a_name_is_one_however_it_was_typed() {
    for (typed, name) in [
        ("Zoe\u{308}", "Zoë"),
        ("\u{1100}\u{1175}\u{11b7}\u{110e}\u{1165}\u{11af}", "김철"),
        ("\u{212b}sa", "Åsa"),
        ("ａｎｎ－２", "ann-2"),
        ("ｶﾞﾝ", "ガン"),
        ("\u{ff35}\u{308}\u{304}", "Ǖ"),
        ("क\u{93c}", "\u{958}".nfc().collect::<String>().as_str()),
        (&"ｗ".repeat(32), &"w".repeat(32)),
        (&"\u{ff35}\u{308}\u{304}".repeat(32), &"Ǖ".repeat(32)),
    ] {
        assert_eq!(made(typed), Ok(name.to_owned()), "{typed}");
        assert_eq!(made(&name.nfd().collect::<String>()), Ok(name.to_owned()), "{typed}");
    }
}

const OTHER: &str = "letters, digits";

#[track_caller]
fn expect_refusals(refusals: &[(&str, &str)]) {
    for (text, reason) in refusals {
        let refused = made(text).unwrap_err();
        assert!(refused.contains(reason), "{text:?}: {refused}");
    }
}

#[test]
fn what_breaks_a_rule_is_refused_with_the_rule() {
    expect_refusals(&[
        ("", "empty"),
        (" ", "begins"),
        ("-a", "begins"),
        (".a", "begins"),
        ("_a", "begins"),
        ("=cmd", "begins"),
        ("@a", "begins"),
        ("\u{301}a", "begins"),
        ("\u{93e}", "begins"),
        ("\u{e33}", "begins"),
        ("\u{200d}a", "begins"),
        ("a b", OTHER),
        ("a\n", OTHER),
        ("a\r", OTHER),
        ("\u{1b}[2J", "begins"),
        ("a,b", OTHER),
        ("a\"b", OTHER),
        ("é b", "U+0020"),
        (&"x".repeat(33), "32 characters"),
        (&"李".repeat(22), "64 bytes"),
        (&"é".repeat(33), "32 characters"),
        (&"e\u{301}\u{323}".repeat(22), "64 bytes"),
        (&"\u{301}".repeat(2_000), "64 bytes"),
    ]);
}

#[test]
fn characters_that_are_none_of_names_are_named() {
    expect_refusals(&[
        // Letters, but not those of names.
        ("Ⓐnn", "U+24B6"),
        ("𝐚nn", "U+1D41A"),
        ("anⅣ", "U+2163"),
        ("x²", "U+00B2"),
        ("ﬁn", "U+FB01"),
        // Nobody sees them.
        ("\u{3164}", "U+3164"),
        ("\u{115f}", "U+115F"),
        ("\u{ffa0}", "U+3164"),
        ("an\u{3164}n", "U+3164"),
        ("an\u{115f}n", "U+115F"),
        ("an\u{ffa0}n", "U+3164"),
        ("an\u{ad}n", "U+00AD"),
        ("an\u{200b}n", "U+200B"),
        ("an\u{34f}n", "U+034F"),
        ("an\u{e0061}n", "U+E0061"),
        ("an\u{fe0f}n", "U+FE0F"),
        ("an\u{202e}n", "U+202E"),
        // Joiners that join nothing, and characters that the profile has and a name has not.
        ("an\u{200d}n", "U+200D"),
        ("an\u{200c}n", "U+200C"),
        ("ann\u{200d}", "U+200D"),
        ("l\u{b7}l", "U+00B7"),
        ("ア\u{30fb}イ", "U+30FB"),
        ("ཀ\u{f0b}ཁ", "U+0F0B"),
        ("a\u{378}", "U+0378"),
        ("annא", "right to left"),
        ("אנה.", "right to left"),
        ("٣علي", "right to left"),
    ]);
}

#[test]
fn nobody_looks_like_the_server() {
    const SERVER: &str = "\"server\"";
    expect_refusals(&[
        ("server", SERVER),
        ("SERVER", SERVER),
        ("Server", SERVER),
        ("ſerver", "U+017F"),
        ("s\u{435}rver", SERVER),
        ("\u{405}\u{415}RV\u{415}R", SERVER),
        ("ｓｅｒｖｅｒ", SERVER),
        ("ｓeｒvｅr", SERVER),
        ("\u{ff33}erver", SERVER),
        ("serνer", SERVER),
        ("ᏚᎬᎡᏙᎬᎡ", SERVER),
        ("ⓢⓔⓡⓥⓔⓡ", "U+24E2"),
        ("𝐬𝐞𝐫𝐯𝐞𝐫", "U+1D42C"),
        ("ser\u{3164}ver", "U+3164"),
        ("ser\u{200d}ver", "U+200D"),
    ]);
}

#[test]
fn names_from_before_the_rules_are_kept_as_they_are() {
    for text in
        ["Ⓐnn", "𝐚nn", "\u{3164}", "\u{1112}\u{1161}\u{11ab}", "ａｎｎ", "s\u{435}rver", "annא", "\u{212b}"]
    {
        assert_eq!(Name::stored(text).map(|name| name.to_string()), Ok(text.to_owned()));
        let meant = |is_known: bool| Name::meant(text, |_| is_known).map(|name| name.to_string()).ok();
        assert_eq!(meant(true).as_deref(), Some(text));
        assert_ne!(meant(false).as_deref(), Some(text));
    }
    let (long, wide) = ("x".repeat(33), "李".repeat(22));
    for text in ["", "-é", "é b", "é,b", "é\u{202e}", "=é", "server", "SERVER", "ſerver", &long, &wide]
    {
        assert!(Name::stored(text).is_err(), "{text:?}");
    }
}

/// Besides what is neither letter nor digit nor mark, a name may have every character that the profile has.
#[test]
fn characters_are_those_of_the_profile() {
    let profile = UsernameCasePreserved::new();
    for character in '\u{80}'..=char::MAX {
        let is_rtl = profile.directionality_rule(format!("a{character}")).is_err();
        let text = format!("{}{character}", if is_rtl { '\u{5d0}' } else { 'a' });
        let is_spared = matches!(character, '\u{5f3}' | '\u{5f4}' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}');
        let is_common = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let allowed = profile.prepare(text.nfc().collect::<String>());
        let expected = allowed.is_ok_and(|text| !is_spared && text.chars().all(is_common));
        let made = made(&text);
        assert_eq!(made.is_ok(), expected || is_am(character), "U+{:04X}: {made:?}", u32::from(character));
    }
}

#[test]
fn a_direct_message_is_a_name_one_space_and_a_text() {
    let split =
        |text| addressed(text, |name| name.as_str() == "Ⓐnn").map(|(name, words)| (name.to_string(), words));
    assert_eq!(split("@bob hi there"), Some(("bob".into(), "hi there")));
    assert_eq!(split("@bob "), Some(("bob".into(), "")));
    assert_eq!(split("@Zoe\u{308} hi"), Some(("Zoë".into(), "hi")));
    assert_eq!(split("@Ⓐnn hi"), Some(("Ⓐnn".into(), "hi")));
    for text in ["@Ⓑob hi", "@bob", "bob hi", "@server hi", "@ hi", "@-b hi", "", "@"] {
        assert_eq!(split(text), None, "{text:?}");
    }
}

/// Letters, marks, joiners and other things, of which many are within the rules.
const TEXTS: &str = "([a-zA-Z0-9_.-]|[é\u{308}\u{301}\u{323}ａｶﾞ\u{212b}]|[한\u{1112}\u{1161}\u{11ab}]|[คน\u{e33}\u{e49}]|\
                     [क\u{94d}\u{93c}\u{200d}\u{958}]|[אבָּ\u{627}\u{64f}٣]|[еѕСß0ſ]|\\PC){1,12}";

proptest! {
    #[test]
    fn the_short_way_of_ascii_is_the_long_way(text in "[ -~]{0,34}|[A-Za-z0-9_.-]{1,33}|[sS][eE][rR][vV][eE][rR]") {
        let long_way = prepare(&text).map(Cow::into_owned).and_then(|name| match looks_like_server(&name) {
            true => Err(SERVER),
            false => Ok(name),
        });
        prop_assert_eq!(Name::new(&text).is_ok(), long_way.is_ok());
        if let Ok(name) = long_way {
            prop_assert_eq!(Name::new(&text).map(|name| name.to_string()), Ok(name));
        }
    }

    #[test]
    fn a_name_is_made_of_itself_and_of_its_decomposition(text in TEXTS) {
        if let Ok(name) = Name::new(&text) {
            prop_assert_eq!(Name::new(name.as_str()), Ok(name.clone()));
            prop_assert_eq!(Name::stored(name.as_str()), Ok(name.clone()));
            for spelling in [text.nfd().collect::<String>(), name.as_str().nfd().collect(), text.nfc().collect()] {
                prop_assert_eq!(Name::new(&spelling), Ok(name.clone()));
            }
            prop_assert_ne!(skeleton(name.as_str()), "server");
        }
    }
}
