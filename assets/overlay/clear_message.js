// {}
take("message");
return painted();
