%% Erlang's ssl: erl -noshell -s init run by escript; arguments PORT CERT KEY VERSIONS(+)
main(Servers) ->
    {ok, _} = application:ensure_all_started(ssl),
    logger:set_primary_config(level, none),
    lists:foreach(fun(S) -> start(string:split(S, ",", all)) end, Servers),
    receive never -> ok end.

start([Port, Cert, Key, Versions]) ->
    {ok, Listen} = ssl:listen(list_to_integer(Port), [
        {ip, {127,0,0,1}}, {certfile, Cert}, {keyfile, Key}, {reuseaddr, true}, {active, false}, binary, {backlog, 128},
        {versions, [list_to_atom(V) || V <- string:split(Versions, "+", all)]}]),
    spawn(fun() -> accept(Listen) end).

accept(Listen) ->
    {ok, Socket} = ssl:transport_accept(Listen),
    Pid = spawn(fun() -> receive go -> serve(Socket) end end),
    ok = ssl:controlling_process(Socket, Pid),
    Pid ! go,
    accept(Listen).

serve(Socket) ->
    case ssl:handshake(Socket, 20000) of
        {ok, Tls} ->
            _ = ssl:recv(Tls, 0, 20000),
            _ = ssl:send(Tls, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\npanel\n"),
            ssl:close(Tls);
        _ -> ok
    end.
